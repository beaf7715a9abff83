-- name: keep
-- Write a new file down, if its account has room for it: $4 bytes of at most $9. It expires after $8 hours. No row: no
-- room.
WITH room AS (
  UPDATE accounts SET upload_bytes = upload_bytes + $4 WHERE id = $2 AND upload_bytes + $4 <= $9 RETURNING id
)
INSERT INTO files (name, account_id, bytes, counted_bytes, format, width, height, expires_at)
SELECT $1::text, id, $3::bigint, $4::bigint, $5::text, $6::integer, $7::integer,
       clock_timestamp() + make_interval(secs => $8 * 3600)
FROM room RETURNING (extract(epoch FROM expires_at) * 1000)::bigint AS expires_ms;

-- name: held
-- What an account holds, and in how many seconds some of it will be gone: ten minutes after it has expired (see
-- expired), and a minute for the sweeper to come by.
SELECT upload_bytes, (SELECT extract(epoch FROM min(expires_at) + interval '11 minutes' - clock_timestamp())::float8
                      FROM files WHERE account_id = $1) AS wait_seconds
FROM accounts WHERE id = $1;

-- name: living
-- Which of these files are the account's and have not expired.
SELECT name FROM files WHERE name = ANY($2::text[]) AND account_id = $1 AND expires_at > clock_timestamp();

-- name: expired
-- Some files whose time is over and that no unfinished task uses. Over for ten minutes, because a create that saw the
-- file alive may be about to commit; no transaction of ours lives that long.
SELECT name FROM files f WHERE expires_at < clock_timestamp() - interval '10 minutes'
  AND NOT EXISTS (SELECT FROM file_uses u JOIN tasks t ON t.id = u.task_id
                  WHERE u.file_name = f.name AND t.finished_at IS NULL)
ORDER BY expires_at LIMIT $1;

-- name: remove
-- Forget files, whose images are gone, and give their accounts the room back.
WITH named AS MATERIALIZED (
  SELECT name, account_id FROM files WHERE name = ANY($1::text[])
), locked AS MATERIALIZED (
  SELECT id FROM accounts WHERE id IN (SELECT account_id FROM named) ORDER BY id FOR NO KEY UPDATE
), removed AS (
  DELETE FROM files f USING named WHERE f.name = named.name AND f.account_id = ANY(ARRAY(SELECT id FROM locked))
  RETURNING f.account_id, f.counted_bytes
)
UPDATE accounts a SET upload_bytes = a.upload_bytes - r.bytes
FROM (SELECT account_id, sum(counted_bytes)::bigint AS bytes FROM removed GROUP BY account_id) r
WHERE a.id = r.account_id;
