-- As in tasks.sql, callbacks that are known by their task are looked up one by one, and `|| ''` keeps the planner from
-- walking all that are pending: a plan may be from the hour when none was.

-- name: due
-- Callbacks whose time has come, the longest waiting first: first attempts ($1 false), or those that had trouble before.
-- By the statement's time: an index is not searched for clock_timestamp(), which changes while it is searched, and all
-- that is scheduled for later would be read too.
-- $3: only what is due after that, to look on from where the last look ended; null: from the start.
SELECT task_id, host, next_attempt_at FROM callbacks
WHERE state = 'pending' AND slow = $1 AND next_attempt_at <= statement_timestamp()
  AND next_attempt_at > coalesce($3::timestamptz, '-infinity')
ORDER BY next_attempt_at LIMIT $2;

-- name: claim
-- Take callbacks to deliver them, those that nobody else took meanwhile. They are due again after $2 seconds, unless
-- their deliverer has recorded what became of them: nothing is lost with a process. As with tasks, the claim's commit does
-- not wait for the disk; one that a crashing database forgets is delivered again under the same webhook id.
WITH hasty AS MATERIALIZED (
  SELECT set_config('synchronous_commit', 'off', true)
), picked AS MATERIALIZED (
  SELECT c.task_id FROM (SELECT task_id FROM unnest($1::text[]) AS n(task_id) ORDER BY task_id COLLATE "C") n
  CROSS JOIN LATERAL (
    SELECT task_id FROM callbacks
    WHERE task_id = n.task_id AND state || '' = 'pending' AND next_attempt_at <= clock_timestamp()
    FOR NO KEY UPDATE SKIP LOCKED
  ) c
), claimed AS (
  UPDATE callbacks c SET claim = claim + 1, next_attempt_at = clock_timestamp() + make_interval(secs => $2)
  FROM picked WHERE c.task_id = ANY($1::text[]) AND c.task_id = picked.task_id
  RETURNING c.task_id, c.webhook_id, c.host, c.claim, c.failures
)
SELECT c.webhook_id, c.host, c.claim, c.failures, t.callback_url, a.webhook_secret,
       CASE WHEN a.webhook_secret_before_until > clock_timestamp() THEN a.webhook_secret_before END AS secret_before,
       t.id, t.account_id, t.model, t.state, t.param, t.public_url, t.result_blobs, t.fail_code, t.fail_msg,
       t.fail_msg_zh, t.credits_charged, t.note, t.attempt,
       (extract(epoch FROM t.created_at) * 1000)::bigint AS created_ms,
       (extract(epoch FROM t.finished_at) * 1000)::bigint AS finished_ms
FROM hasty CROSS JOIN claimed c JOIN tasks t ON t.id = c.task_id JOIN accounts a ON a.id = t.account_id;

-- name: postpone
-- Their hosts are busy or do not answer: no attempt is made now, none is counted, first attempts go before them.
WITH hasty AS MATERIALIZED (
  SELECT set_config('synchronous_commit', 'off', true)
), held AS MATERIALIZED (
  SELECT c.task_id, n.seconds
  FROM (SELECT * FROM unnest($1::text[], $2::float8[]) AS n(task_id, seconds) ORDER BY task_id COLLATE "C") n
  CROSS JOIN LATERAL (
    SELECT task_id FROM callbacks
    WHERE task_id = n.task_id AND state || '' = 'pending' AND next_attempt_at <= clock_timestamp()
    FOR NO KEY UPDATE SKIP LOCKED
  ) c
)
UPDATE callbacks c SET slow = true, postponed = postponed + 1,
  next_attempt_at = clock_timestamp() + make_interval(secs => held.seconds * least(32, 2 ^ least(postponed, 5)))
FROM held, hasty WHERE c.task_id = ANY($1::text[]) AND c.task_id = held.task_id;

-- name: record
-- What became of attempts: each is listed, and moves its callback on unless that was claimed or queued anew meanwhile.
WITH n AS MATERIALIZED (
  SELECT * FROM unnest($1::text[], $2::integer[], $3::text[], $4::float8[], $5::bigint[], $6::integer[], $7::integer[],
                       $8::text[], $9::text[])
    AS n(task_id, claim, state, wait_seconds, started_ms, milliseconds, status, error, answer)
), listed AS (
  INSERT INTO callback_attempts (task_id, started_at, milliseconds, status, error, answer)
  SELECT task_id, to_timestamp(started_ms / 1000.0), milliseconds, status, error, answer FROM n
), held AS MATERIALIZED (
  SELECT c.task_id, n.state, n.wait_seconds FROM (SELECT * FROM n ORDER BY task_id COLLATE "C") n CROSS JOIN LATERAL (
    SELECT task_id FROM callbacks WHERE task_id = n.task_id AND claim = n.claim AND state || '' = 'pending'
    FOR NO KEY UPDATE
  ) c
)
UPDATE callbacks c SET
  state = held.state,
  slow = true,
  postponed = 0,
  failures = CASE WHEN held.state = 'delivered' THEN failures ELSE failures + 1 END,
  next_attempt_at = clock_timestamp() + make_interval(secs => held.wait_seconds),
  ended_at = CASE WHEN held.state = 'pending' THEN NULL ELSE clock_timestamp() END
FROM held WHERE c.task_id = ANY($1::text[]) AND c.task_id = held.task_id;

-- name: redeliver
-- Queue an ended task's callback once more, whatever became of it; the same webhook id. No row: nothing to deliver.
WITH queued AS (
  INSERT INTO callbacks AS c (task_id, account_id, host)
  SELECT id, account_id, coalesce(lower(substring(callback_url FROM '^[^:]+://([^/?#]+)')), '') FROM tasks
  WHERE id = $1 AND account_id + 0 = $2 AND finished_at IS NOT NULL AND callback_url IS NOT NULL
  ON CONFLICT (task_id) DO UPDATE SET state = 'pending', ended_at = NULL, slow = false, failures = 0, postponed = 0,
    claim = c.claim + 1, next_attempt_at = clock_timestamp()
  RETURNING task_id
)
SELECT task_id, pg_notify('cavendish_callbacks', '') FROM queued;

-- name: redeliver_failed
-- Queue everything once more that ended without delivery since $1. At most $2; how many. What is locked is being queued
-- by somebody else at this moment.
WITH picked AS MATERIALIZED (
  SELECT task_id FROM callbacks WHERE state IN ('gone', 'failed') AND ended_at >= $1
  ORDER BY ended_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED
), queued AS (
  UPDATE callbacks c SET state = 'pending', ended_at = NULL, slow = true, failures = 0, postponed = 0,
    claim = claim + 1, next_attempt_at = clock_timestamp()
  FROM picked WHERE c.task_id = picked.task_id RETURNING c.task_id
)
SELECT count(*) AS callbacks, pg_notify('cavendish_callbacks', '') FROM queued;

-- name: find
-- A task's callback, if it has a URL; nothing but the URL before the task has ended.
SELECT t.id AS task_id, t.account_id, t.callback_url, c.webhook_id, c.state,
       CASE WHEN c.state = 'pending' THEN (extract(epoch FROM c.next_attempt_at) * 1000)::bigint END AS next_attempt_ms
FROM tasks t LEFT JOIN callbacks c ON c.task_id = t.id WHERE t.id = $1 AND t.callback_url IS NOT NULL;

-- name: attempts
-- A callback's newest attempts, oldest of them first.
SELECT (extract(epoch FROM started_at) * 1000)::bigint AS started_ms, milliseconds, status, error, answer
FROM (SELECT * FROM callback_attempts WHERE task_id = $1 ORDER BY id DESC LIMIT 100) AS newest ORDER BY id;

-- name: unsuccessful
-- Callbacks that are waiting after trouble, or ended without delivery; the newest $1.
SELECT c.task_id, a.name AS account, c.host, c.state, c.failures,
       CASE WHEN c.state = 'pending' THEN c.next_attempt_at END AS next_attempt_at, t.callback_url
FROM (
  (SELECT * FROM callbacks WHERE state = 'pending' AND slow ORDER BY next_attempt_at LIMIT $1)
  UNION ALL
  (SELECT * FROM callbacks WHERE state IN ('gone', 'failed') ORDER BY ended_at DESC LIMIT $1)
) c JOIN accounts a ON a.id = c.account_id JOIN tasks t ON t.id = c.task_id
ORDER BY c.created_at DESC LIMIT $1;

-- name: secret
SELECT webhook_secret FROM accounts WHERE id = $1;

-- name: rotate
-- A new secret; the one before it signs along for 24 hours.
UPDATE accounts SET
  webhook_secret_before = webhook_secret,
  webhook_secret_before_until = clock_timestamp() + interval '24 hours',
  webhook_secret = 'whsec_' || encode(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), 'base64')
WHERE id = $1 RETURNING webhook_secret;

-- name: account_id
SELECT id FROM accounts WHERE name = $1;
