-- name: claim
-- Give up to $2 waiting tasks, in fair order, to the holder of the lease $1, and move the queue's virtual time along.
WITH holder AS MATERIALIZED (
  SELECT token FROM leases WHERE token = $1 AND expires_at > clock_timestamp() FOR KEY SHARE
), picked AS MATERIALIZED (
  SELECT id FROM tasks WHERE state = 'waiting' AND EXISTS (SELECT FROM holder)
  ORDER BY turn, id LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
  UPDATE tasks SET state = 'queuing', lease_token = $1, attempt = attempt + 1
  FROM picked WHERE tasks.id = picked.id
  RETURNING tasks.id, tasks.account_id, tasks.attempt, tasks.faults, tasks.model, tasks.param, tasks.public_url,
            tasks.input_blobs, tasks.turn
), moved AS MATERIALIZED (
  SELECT setval('queue_turn', greatest(max(turn), (SELECT last_value FROM queue_turn))) FROM claimed
  HAVING count(*) > 0
)
SELECT id, account_id, attempt, faults, model, param, public_url, input_blobs
FROM claimed LEFT JOIN moved ON true ORDER BY turn, id;

-- name: mark_generating
-- The engine has started on these tasks; a mark that comes after the task moved on changes nothing.
UPDATE tasks SET state = 'generating'
FROM unnest($2::text[], $3::integer[]) AS n(id, attempt)
WHERE tasks.id = n.id AND tasks.lease_token = $1 AND tasks.attempt = n.attempt AND tasks.state = 'queuing';

-- name: finish
-- End tasks, fenced by lease token and attempt: state, settlement or release, totals and counters in one statement.
-- $12: whether the lease must still be alive (a worker's own finish), or may be over (the sweeper's).
-- Answers with the ids that this call ended; the others were ended or taken over before.
WITH wanted AS MATERIALIZED (
  SELECT * FROM unnest($1::text[], $2::bigint[], $3::uuid[], $4::integer[], $5::text[], $6::text[], $7::integer[],
                       $8::integer[], $9::text[], $10::text[], $11::text[], $13::text[])
    AS n(id, account_id, lease_token, attempt, state, result_blob, width, height, fail_code, fail_msg, fail_msg_zh,
         note)
), locked AS MATERIALIZED (
  SELECT id FROM accounts WHERE id IN (SELECT account_id FROM wanted) ORDER BY id FOR NO KEY UPDATE
), alive AS MATERIALIZED (
  SELECT token FROM leases
  WHERE token IN (SELECT lease_token FROM wanted) AND (NOT $12 OR expires_at > clock_timestamp())
  ORDER BY token FOR KEY SHARE
), ended AS (
  UPDATE tasks t SET
    state = n.state,
    lease_token = NULL,
    result_blobs = CASE WHEN n.state = 'success' THEN ARRAY[n.result_blob] ELSE '{}' END,
    result_width = n.width, result_height = n.height, note = n.note,
    fail_code = n.fail_code, fail_msg = n.fail_msg, fail_msg_zh = n.fail_msg_zh,
    credits_charged = CASE WHEN n.state = 'success' THEN t.price ELSE 0 END,
    finished_at = greatest(clock_timestamp(), t.created_at)
  FROM wanted n
  WHERE t.id = n.id AND t.attempt = n.attempt AND t.lease_token = n.lease_token
    AND t.state IN ('queuing', 'generating')
    AND t.account_id = ANY(ARRAY(SELECT id FROM locked))
    AND (NOT $12 OR t.lease_token = ANY(ARRAY(SELECT token FROM alive)))
  RETURNING t.id, t.account_id, t.key_id, t.state, t.price, t.input_blobs
), entries AS (
  INSERT INTO credit_entries (account_id, kind, amount, task_id)
  SELECT account_id, CASE WHEN state = 'success' THEN 'settle' ELSE 'release' END, price, id FROM ended
), totals AS (
  UPDATE accounts a SET
    held = a.held - e.settled - e.released, charged = a.charged + e.settled, available = a.available + e.released
  FROM (
    SELECT account_id, coalesce(sum(price) FILTER (WHERE state = 'success'), 0) AS settled,
           coalesce(sum(price) FILTER (WHERE state = 'fail'), 0) AS released
    FROM ended GROUP BY account_id
  ) e WHERE a.id = e.account_id
), counters AS (
  UPDATE api_keys k SET in_flight = k.in_flight - e.tasks
  FROM (SELECT key_id, count(*) AS tasks FROM ended GROUP BY key_id) e WHERE k.id = e.key_id
)
SELECT id FROM ended;

-- name: give_back
-- The holder returns tasks unharmed: they wait again and no fault is counted.
WITH returned AS (
  UPDATE tasks SET state = 'waiting', lease_token = NULL
  FROM unnest($2::text[], $3::integer[]) AS n(id, attempt)
  WHERE tasks.id = n.id AND tasks.lease_token = $1 AND tasks.attempt = n.attempt
    AND tasks.state IN ('queuing', 'generating')
  RETURNING tasks.id
)
SELECT pg_notify('cavendish_waiting', '') FROM (SELECT FROM returned LIMIT 1) AS any_returned;

-- name: give_back_after_fault
-- The holder could not bring a task to an outcome: it waits again, one fault counted.
WITH returned AS (
  UPDATE tasks SET state = 'waiting', lease_token = NULL, faults = faults + 1
  FROM unnest($2::text[], $3::integer[]) AS n(id, attempt)
  WHERE tasks.id = n.id AND tasks.lease_token = $1 AND tasks.attempt = n.attempt
    AND tasks.state IN ('queuing', 'generating')
  RETURNING tasks.id
)
SELECT pg_notify('cavendish_waiting', '') FROM (SELECT FROM returned LIMIT 1) AS any_returned;

-- name: requeue_lost
-- Tasks whose lease ended and that may be tried again: back to waiting, one fault counted. At most $2 a call.
WITH lost AS MATERIALIZED (
  SELECT t.id FROM leases l JOIN tasks t ON t.lease_token = l.token
  WHERE l.expires_at <= clock_timestamp() AND t.faults + 1 < $1
  ORDER BY t.id LIMIT $2 FOR NO KEY UPDATE OF t SKIP LOCKED
), requeued AS (
  UPDATE tasks SET state = 'waiting', lease_token = NULL, faults = faults + 1 FROM lost WHERE tasks.id = lost.id
  RETURNING tasks.id
)
SELECT count(*) AS tasks, CASE WHEN count(*) > 0 THEN pg_notify('cavendish_waiting', '') END FROM requeued;

-- name: exhausted
-- Tasks whose lease ended on their last attempt: to be failed, fenced by the token they still carry.
SELECT t.id, t.account_id, t.lease_token, t.attempt FROM leases l JOIN tasks t ON t.lease_token = l.token
WHERE l.expires_at <= clock_timestamp() AND t.faults + 1 >= $1 ORDER BY t.id LIMIT $2;

-- name: begin_lease
INSERT INTO leases (token, worker, expires_at)
VALUES (gen_random_uuid(), $1, clock_timestamp() + make_interval(secs => $2)) RETURNING token;

-- name: renew_lease
-- One more term, unless it is over already: an ended lease never comes back.
UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => $2)
WHERE token = $1 AND expires_at > clock_timestamp() RETURNING token;

-- name: end_lease
-- The holder leaves and holds nothing any more (the sweeper removes the leases of those that died).
DELETE FROM leases WHERE token = $1 AND NOT EXISTS (SELECT FROM tasks WHERE lease_token = $1);

-- name: drop_ended_leases
-- Remove leases that ended and hold no task.
DELETE FROM leases l WHERE expires_at <= clock_timestamp() AND NOT EXISTS (SELECT FROM tasks WHERE lease_token = l.token);

-- name: find
-- Tasks by id, for the query endpoint; many waiting callers share one call.
SELECT id, account_id, model, state, param, public_url, result_blobs, fail_code, fail_msg, fail_msg_zh,
       credits_charged, note,
       (extract(epoch FROM created_at) * 1000)::bigint AS created_ms,
       (extract(epoch FROM finished_at) * 1000)::bigint AS finished_ms
FROM tasks WHERE id = ANY($1::text[]);
