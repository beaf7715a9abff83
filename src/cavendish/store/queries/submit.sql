-- name: accept
-- Write a batch of creates when all of it fits, in one round trip: see migrations/0008_rules_of_columns.sql.
SELECT accept_tasks($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) AS accepted;

-- name: lock_keys
-- Lock the accounts (in id order), then the keys, of a batch of creates; answer with their newest totals and counters.
WITH locked AS MATERIALIZED (
  SELECT id, available, held, charged, granted, next_turn
  FROM accounts WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE
), keys AS MATERIALIZED (
  SELECT id, account_id, creates_per_minute, in_flight_limit, window_started_at, window_creates, in_flight,
         revoked_at IS NOT NULL OR coalesce(expires_at <= clock_timestamp(), false) AS ended
  FROM api_keys
  WHERE id = ANY($2::bigint[]) AND account_id = ANY(ARRAY(SELECT id FROM locked))
  ORDER BY id FOR NO KEY UPDATE
)
SELECT keys.id AS key_id, keys.account_id, creates_per_minute, in_flight_limit, window_creates, in_flight, ended,
       extract(epoch FROM clock_timestamp() - window_started_at)::float8 AS window_age_seconds,
       available, held, charged, granted, next_turn,
       (SELECT last_value FROM queue_turn) AS queue_turn
FROM keys JOIN locked ON locked.id = keys.account_id;

-- name: known_requests
-- What these idempotency keys were used for within their 24 hours. Asked under the accounts' locks.
SELECT i.account_id, i.key, i.task_id, i.param
FROM unnest($1::bigint[], $2::text[]) AS n(account_id, key) CROSS JOIN LATERAL (
  SELECT account_id, key, task_id, param FROM idempotency_keys
  WHERE account_id = n.account_id AND key = n.key AND created_at > now() - interval '24 hours' OFFSET 0
) i;

-- name: usable_files
-- Which of these files a create may use: its account's own, and not expired. Those that expired while the create was
-- under way are still there, because the sweeper leaves them for ten minutes.
SELECT f.account_id, f.name FROM unnest($1::bigint[], $2::text[]) AS n(account_id, name) CROSS JOIN LATERAL (
  SELECT account_id, name FROM files
  WHERE name = n.name AND account_id + 0 = n.account_id AND expires_at > clock_timestamp() FOR KEY SHARE
) f;

-- name: insert_uses
-- Have accepted tasks keep their files.
INSERT INTO file_uses (file_name, task_id) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING;

-- name: insert_requests
-- Remember idempotency keys; one whose 24 hours are over begins anew.
INSERT INTO idempotency_keys (account_id, key, task_id, param)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[])
ON CONFLICT (account_id, key) DO UPDATE SET task_id = excluded.task_id, param = excluded.param, created_at = now();

-- name: insert_batch
-- Everything that a batch of accepted creates writes: tasks, holds, new totals, new counters; and wake the workers.
WITH new_accounts AS (
  UPDATE accounts a SET available = n.available, held = n.held, next_turn = n.next_turn
  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS n(id, available, held, next_turn)
  WHERE a.id = n.id
), new_keys AS (
  UPDATE api_keys k SET
    window_started_at = CASE WHEN n.opens_window THEN clock_timestamp() ELSE k.window_started_at END,
    window_creates = n.window_creates, in_flight = n.in_flight
  FROM unnest($5::bigint[], $6::boolean[], $7::integer[], $8::integer[])
    AS n(id, opens_window, window_creates, in_flight)
  WHERE k.id = n.id
), new_tasks AS (
  INSERT INTO tasks (id, account_id, key_id, model, param, callback_url, public_url, input_blobs, price, turn)
  SELECT n.id, n.account_id, n.key_id, n.model, n.param, n.callback_url, n.public_url,
         CASE WHEN n.input_blobs = '' THEN '{}' ELSE string_to_array(n.input_blobs, ' ') END, n.price, n.turn
  FROM unnest($9::text[], $10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::text[], $15::text[],
              $16::text[], $17::bigint[], $18::bigint[])
    AS n(id, account_id, key_id, model, param, callback_url, public_url, input_blobs, price, turn)
), holds AS (
  INSERT INTO credit_entries (account_id, kind, amount, task_id)
  SELECT n.account_id, 'hold', n.price, n.id
  FROM unnest($9::text[], $10::bigint[], $17::bigint[]) AS n(id, account_id, price)
)
SELECT pg_notify('cavendish_waiting', '');
