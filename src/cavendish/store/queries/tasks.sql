-- A server keeps a statement's plan, perhaps from the hour when the tables were empty and every index looked as good as
-- another. So these statements leave no choice: tasks that are known by id are looked up one by one (CROSS JOIN LATERAL),
-- and what could tempt the planner to another index is written so that none fits it (`+ 0`, IS NOT DISTINCT FROM).

-- name: claim
-- Give up to $2 waiting tasks, in fair order, to the holder of the lease $1, and move the queue's virtual time along.
-- $3: models that the holder cannot begin with now.
-- Its commit does not wait for the disk: a database that crashes right now forgets the claim, and the task waits again
-- (docs/decisions/0011-claims-do-not-wait-for-the-disk.md).
WITH hasty AS MATERIALIZED (
  SELECT set_config('synchronous_commit', 'off', true)
), holder AS MATERIALIZED (
  SELECT token FROM leases WHERE token = $1 AND expires_at > clock_timestamp() FOR KEY SHARE
), picked AS MATERIALIZED (
  SELECT id FROM tasks WHERE state = 'waiting' AND EXISTS (SELECT FROM holder) AND model <> ALL($3::text[])
  ORDER BY turn, id LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
  UPDATE tasks SET state = 'queuing', lease_token = $1, attempt = attempt + 1
  FROM picked WHERE tasks.id = picked.id
  RETURNING tasks.id, tasks.account_id, tasks.attempt, tasks.faults, tasks.model, tasks.param, tasks.public_url,
            tasks.input_blobs, tasks.turn, tasks.cancel_requested, tasks.upstream_usage, tasks.upstream_cost_micros
), moved AS MATERIALIZED (
  SELECT setval('queue_turn', greatest(max(turn), (SELECT last_value FROM queue_turn))) FROM claimed
  HAVING count(*) > 0
)
SELECT id, account_id, attempt, faults, model, param, public_url, input_blobs, cancel_requested, upstream_usage,
       upstream_cost_micros
FROM hasty CROSS JOIN claimed LEFT JOIN moved ON true ORDER BY turn, id;

-- name: held
-- What the lease $1 holds: how a holder finds work that it was given in an answer that got lost.
SELECT id, account_id, attempt, faults, model, param, public_url, input_blobs, cancel_requested, upstream_usage,
       upstream_cost_micros
FROM tasks WHERE lease_token = $1 ORDER BY id;

-- name: mark_generating
-- The engine has started on these tasks; a mark that comes after the task moved on changes nothing. It is for people who
-- watch, so its commit does not wait for the disk either.
WITH hasty AS MATERIALIZED (
  SELECT set_config('synchronous_commit', 'off', true)
), held AS MATERIALIZED (
  SELECT t.id FROM (SELECT * FROM unnest($2::text[], $3::integer[]) AS n(id, attempt) ORDER BY id COLLATE "C") n
  CROSS JOIN LATERAL (
    SELECT id FROM tasks
    WHERE id = n.id AND attempt = n.attempt AND lease_token IS NOT DISTINCT FROM $1 AND state = 'queuing'
    FOR NO KEY UPDATE
  ) t
)
UPDATE tasks SET state = 'generating' FROM held, hasty WHERE tasks.id = ANY($2::text[]) AND tasks.id = held.id;

-- name: finish
-- End tasks, fenced by lease token and attempt: state, settlement or release, totals, counters, the usage of the hour and
-- the callbacks to be sent in one statement.
-- A task whose cancel was requested ends as canceled, whatever the worker brings.
-- $12: whether the lease must still be alive (a worker's own finish), or may be over (the sweeper's).
-- $16, $17: what it used upstream over all attempts; NULL keeps what earlier attempts left.
-- Answers with the tasks that this call ended; the others were ended or taken over before.
WITH wanted AS MATERIALIZED (
  SELECT * FROM unnest($1::text[], $2::bigint[], $3::uuid[], $4::integer[], $5::text[], $6::text[], $7::integer[],
                       $8::integer[], $9::text[], $10::text[], $11::text[], $13::text[], $16::text[], $17::bigint[])
    AS n(id, account_id, lease_token, attempt, state, result_blob, width, height, fail_code, fail_msg, fail_msg_zh,
         note, usage, cost_micros)
  ORDER BY id COLLATE "C"
), locked AS MATERIALIZED (
  SELECT id FROM accounts WHERE id IN (SELECT account_id FROM wanted) ORDER BY id FOR NO KEY UPDATE
), alive AS MATERIALIZED (
  SELECT token FROM leases
  WHERE token IN (SELECT lease_token FROM wanted) AND (NOT $12 OR expires_at > clock_timestamp())
    AND (SELECT count(*) FROM locked) > 0  -- accounts first: after the wait for them a lease may be over
  ORDER BY token FOR KEY SHARE
), held AS MATERIALIZED (
  SELECT n.id, n.attempt, n.lease_token, n.result_blob, n.width, n.height, n.note, n.usage, n.cost_micros,
         CASE WHEN t.cancel_requested THEN 'fail' ELSE n.state END AS state,
         CASE WHEN t.cancel_requested THEN 'canceled' ELSE n.fail_code END AS fail_code,
         CASE WHEN t.cancel_requested THEN $14 ELSE n.fail_msg END AS fail_msg,
         CASE WHEN t.cancel_requested THEN $15 ELSE n.fail_msg_zh END AS fail_msg_zh
  FROM wanted n CROSS JOIN LATERAL (
    SELECT cancel_requested FROM tasks
    WHERE id = n.id AND attempt = n.attempt AND lease_token IS NOT DISTINCT FROM n.lease_token
      AND state IN ('queuing', 'generating') AND account_id + 0 = ANY(ARRAY(SELECT id FROM locked))
    FOR NO KEY UPDATE
  ) t
  WHERE NOT $12 OR n.lease_token = ANY(ARRAY(SELECT token FROM alive))
), ended AS (
  UPDATE tasks t SET
    state = n.state,
    lease_token = NULL,
    result_blobs = CASE WHEN n.state = 'success' THEN ARRAY[n.result_blob] ELSE '{}' END,
    result_width = n.width, result_height = n.height, note = n.note,
    fail_code = n.fail_code, fail_msg = n.fail_msg, fail_msg_zh = n.fail_msg_zh,
    credits_charged = CASE WHEN n.state = 'success' THEN t.price ELSE 0 END,
    upstream_usage = coalesce(n.usage::jsonb, t.upstream_usage),
    upstream_cost_micros = CASE WHEN n.usage IS NULL THEN t.upstream_cost_micros ELSE n.cost_micros END,
    finished_at = greatest(clock_timestamp(), t.created_at)
  FROM held n
  WHERE t.id = ANY($1::text[]) AND t.id = n.id AND t.attempt = n.attempt
    AND t.lease_token IS NOT DISTINCT FROM n.lease_token
  RETURNING t.id, t.attempt, t.account_id, t.key_id, t.state, t.price, t.callback_url, t.model, t.finished_at,
            t.credits_charged, t.upstream_cost_micros,
            t.upstream_usage IS NOT NULL AND t.upstream_cost_micros IS NULL AS unpriced
), calls AS (
  INSERT INTO callbacks (task_id, account_id, host)
  SELECT id, account_id, coalesce(lower(substring(callback_url FROM '^[^:]+://([^/?#]+)')), '')
  FROM ended WHERE callback_url IS NOT NULL RETURNING task_id
), told AS MATERIALIZED (
  SELECT pg_notify('cavendish_callbacks', '') FROM (SELECT FROM calls LIMIT 1) AS any_call
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
), used AS (
  INSERT INTO usage_hours AS u (hour, account_id, model, tasks, successes, credits, upstream_cost_micros, unpriced)
  SELECT date_trunc('hour', finished_at, 'UTC'), account_id, model, count(*),
         count(*) FILTER (WHERE state = 'success'), sum(credits_charged), coalesce(sum(upstream_cost_micros), 0),
         count(*) FILTER (WHERE unpriced)
  FROM ended GROUP BY 1, 2, 3
  ON CONFLICT (hour, account_id, model) DO UPDATE SET
    tasks = u.tasks + excluded.tasks, successes = u.successes + excluded.successes,
    credits = u.credits + excluded.credits, unpriced = u.unpriced + excluded.unpriced,
    upstream_cost_micros = u.upstream_cost_micros + excluded.upstream_cost_micros
)
SELECT id, attempt FROM ended LEFT JOIN told ON true;

-- name: cancel
-- The owner gives a task up. Waiting: it ends here, its hold released. Held by a worker: that worker is told.
-- Answers with the state before, and whether it ended here; no row when the account has no such task.
WITH locked AS MATERIALIZED (
  SELECT id FROM accounts WHERE id = $2 FOR NO KEY UPDATE
), target AS MATERIALIZED (
  SELECT id, state FROM tasks WHERE id = $1 AND account_id + 0 = ANY(ARRAY(SELECT id FROM locked)) FOR NO KEY UPDATE
), requested AS (
  UPDATE tasks SET cancel_requested = true FROM target
  WHERE tasks.id = target.id AND target.state IN ('queuing', 'generating')
), ended AS (
  UPDATE tasks t SET state = 'fail', fail_code = 'canceled', fail_msg = $3, fail_msg_zh = $4,
                     finished_at = greatest(clock_timestamp(), t.created_at)
  FROM target WHERE t.id = target.id AND target.state = 'waiting'
  RETURNING t.id, t.account_id, t.key_id, t.price, t.callback_url, t.model, t.finished_at, t.upstream_cost_micros,
            t.upstream_usage IS NOT NULL AND t.upstream_cost_micros IS NULL AS unpriced
), calls AS (
  INSERT INTO callbacks (task_id, account_id, host)
  SELECT id, account_id, coalesce(lower(substring(callback_url FROM '^[^:]+://([^/?#]+)')), '')
  FROM ended WHERE callback_url IS NOT NULL RETURNING task_id
), told AS MATERIALIZED (
  SELECT pg_notify('cavendish_callbacks', '') FROM (SELECT FROM calls LIMIT 1) AS any_call
), entries AS (
  INSERT INTO credit_entries (account_id, kind, amount, task_id) SELECT account_id, 'release', price, id FROM ended
), totals AS (
  UPDATE accounts a SET held = a.held - ended.price, available = a.available + ended.price
  FROM ended WHERE a.id = ended.account_id
), counters AS (
  UPDATE api_keys k SET in_flight = k.in_flight - 1 FROM ended WHERE k.id = ended.key_id
), used AS (
  INSERT INTO usage_hours AS u (hour, account_id, model, tasks, successes, credits, upstream_cost_micros, unpriced)
  SELECT date_trunc('hour', finished_at, 'UTC'), account_id, model, 1, 0, 0, coalesce(upstream_cost_micros, 0),
         unpriced::integer
  FROM ended
  ON CONFLICT (hour, account_id, model) DO UPDATE SET
    tasks = u.tasks + 1, unpriced = u.unpriced + excluded.unpriced,
    upstream_cost_micros = u.upstream_cost_micros + excluded.upstream_cost_micros
)
SELECT state, CASE WHEN state IN ('queuing', 'generating') THEN pg_notify('cavendish_cancel', id) END
FROM target LEFT JOIN told ON true;

-- name: give_back
-- The holder returns tasks: they wait again. $4, $5: what they used upstream so far; $6: the faults to count, 0 for tasks
-- that are unharmed, 1 for those that could not be brought to an outcome.
WITH held AS MATERIALIZED (
  SELECT t.id, n.usage::jsonb AS usage, n.cost_micros
  FROM (SELECT * FROM unnest($2::text[], $3::integer[], $4::text[], $5::bigint[])
          AS n(id, attempt, usage, cost_micros) ORDER BY id COLLATE "C") n
  CROSS JOIN LATERAL (
    SELECT id FROM tasks
    WHERE id = n.id AND attempt = n.attempt AND lease_token IS NOT DISTINCT FROM $1
      AND state IN ('queuing', 'generating')
    FOR NO KEY UPDATE
  ) t
), returned AS (
  UPDATE tasks SET state = 'waiting', lease_token = NULL, faults = faults + $6::integer,
                   upstream_usage = held.usage, upstream_cost_micros = held.cost_micros
  FROM held WHERE tasks.id = ANY($2::text[]) AND tasks.id = held.id RETURNING tasks.id
)
SELECT pg_notify('cavendish_waiting', '') FROM (SELECT FROM returned LIMIT 1) AS any_returned;

-- name: requeue_lost
-- Tasks whose lease ended and that may be tried again: back to waiting, one fault counted. At most $2 a call.
WITH lost AS MATERIALIZED (
  SELECT t.id FROM leases l CROSS JOIN LATERAL (
    SELECT id FROM tasks WHERE lease_token = l.token AND faults + 1 < $1 FOR NO KEY UPDATE SKIP LOCKED
  ) t
  WHERE l.expires_at <= clock_timestamp() LIMIT $2
), requeued AS (
  UPDATE tasks SET state = 'waiting', lease_token = NULL, faults = faults + 1 FROM lost WHERE tasks.id = lost.id
  RETURNING tasks.id
)
SELECT count(*) AS tasks, CASE WHEN count(*) > 0 THEN pg_notify('cavendish_waiting', '') END FROM requeued;

-- name: exhausted
-- Tasks whose lease ended on their last attempt: to be failed, fenced by the token they still carry.
SELECT t.id, t.account_id, t.lease_token, t.attempt FROM leases l CROSS JOIN LATERAL (
  SELECT id, account_id, lease_token, attempt FROM tasks WHERE lease_token = l.token AND faults + 1 >= $1 OFFSET 0
) t
WHERE l.expires_at <= clock_timestamp() LIMIT $2;

-- name: begin_lease
INSERT INTO leases (token, worker, expires_at)
VALUES (gen_random_uuid(), $1, clock_timestamp() + make_interval(secs => $2)) RETURNING token;

-- name: any_worker
-- Whether somebody works on tasks now.
SELECT EXISTS (SELECT FROM leases WHERE expires_at > clock_timestamp()) AS found;

-- name: renew_lease
-- One more term, unless it is over already: an ended lease never comes back. Answers with how many tasks it holds, and
-- which of them their owners gave up.
UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => $2)
WHERE token = $1 AND expires_at > clock_timestamp()
RETURNING (SELECT count(*) FROM tasks WHERE lease_token = $1) AS tasks,
          ARRAY(SELECT id FROM tasks WHERE lease_token = $1 AND cancel_requested) AS given_up;

-- name: end_lease
-- The holder leaves. The row stays for a while: see drop_ended_leases.
UPDATE leases SET expires_at = clock_timestamp()
WHERE token = $1 AND expires_at > clock_timestamp() AND NOT EXISTS (SELECT FROM tasks WHERE lease_token = $1);

-- name: drop_ended_leases
-- Remove leases that ended long ago and hold no task. Long ago, because a claim that saw the lease alive may be about to
-- commit, and tasks whose lease is gone would never be found; no statement of ours lives for ten minutes.
DELETE FROM leases l WHERE expires_at <= clock_timestamp() - interval '10 minutes'
  AND NOT EXISTS (SELECT FROM tasks WHERE lease_token = l.token OFFSET 0);

-- name: find
-- Tasks by id, for the query endpoint; many waiting callers share one call.
SELECT id, account_id, model, state, param, public_url, result_blobs, fail_code, fail_msg, fail_msg_zh,
       credits_charged, note, attempt,
       (extract(epoch FROM created_at) * 1000)::bigint AS created_ms,
       (extract(epoch FROM finished_at) * 1000)::bigint AS finished_ms
FROM tasks WHERE id = ANY($1::text[]);

-- name: positions
-- Where these tasks are now: what a process asks, seldom, for everybody who waits in it.
SELECT id, state, attempt FROM tasks WHERE id = ANY($1::text[]);

-- name: watch
-- Somebody waits for tasks: to end, or for each of their moves.
SELECT pg_notify('cavendish_watched', $1);

-- name: announce
-- Tasks that moved, for whoever waits.
SELECT pg_notify('cavendish_tasks', payload) FROM unnest($1::text[]) AS payload;

-- name: list
-- An account's tasks, newest first, from below a cursor ($2, $3). At most $6 tasks are looked at, so that a filter
-- which few tasks pass costs no more than one page; `looked` tells how far it got.
WITH page AS MATERIALIZED (
  SELECT id, account_id, model, state, param, public_url, result_blobs, fail_code, fail_msg, fail_msg_zh,
         credits_charged, note, attempt, created_at, finished_at
  FROM tasks WHERE account_id = $1 AND (created_at, id) < ($2, $3)
  ORDER BY created_at DESC, id DESC LIMIT $6
)
SELECT *, (extract(epoch FROM created_at) * 1000)::bigint AS created_ms,
       (extract(epoch FROM finished_at) * 1000)::bigint AS finished_ms
FROM page WHERE ($4::text IS NULL OR state = $4) AND ($5::text IS NULL OR model = $5)
ORDER BY created_at DESC, id DESC LIMIT $7;

-- name: list_reach
-- Where a page of $4 tasks below the cursor ends: what the next page starts from when a filter left some out.
SELECT created_at, id FROM tasks WHERE account_id = $1 AND (created_at, id) < ($2, $3)
ORDER BY created_at DESC, id DESC OFFSET $4 - 1 LIMIT 1;

-- name: outlived
-- Tasks that ended more than $1 days ago, and the blobs that go with them. At most $2. A callback that is still to be
-- sent keeps its task.
SELECT id, result_blobs, input_blobs FROM tasks
WHERE created_at < now() - make_interval(days => $1) AND finished_at < now() - make_interval(days => $1)
  AND NOT EXISTS (SELECT FROM callbacks c WHERE c.task_id = tasks.id AND c.state = 'pending')
LIMIT $2;

-- name: remove_tasks
-- Remove tasks that ended, with their callbacks; the ledger keeps their entries.
WITH removed AS (
  DELETE FROM tasks WHERE id IN (SELECT id FROM tasks WHERE id = ANY($1::text[]) AND finished_at IS NOT NULL
                                 ORDER BY id FOR UPDATE SKIP LOCKED)
  RETURNING id
), attempts AS (
  DELETE FROM callback_attempts a USING removed WHERE a.task_id = removed.id
)
DELETE FROM callbacks c USING removed WHERE c.task_id = removed.id;

-- name: remove_idempotency_keys
-- Forget keys after their 24 hours. At most $1.
WITH old AS (
  SELECT account_id, key FROM idempotency_keys WHERE created_at < now() - interval '24 hours' LIMIT $1
  FOR UPDATE SKIP LOCKED
), removed AS (
  DELETE FROM idempotency_keys i USING old WHERE i.account_id = old.account_id AND i.key = old.key RETURNING i.key
)
SELECT count(*) AS keys FROM removed;

-- name: fold_usage
-- Usage of hours that lie $1 days back moves into the first hour of its day (UTC). At most $2 rows. No task ends there any
-- more, so nobody else writes these rows but another folder, whose rows are skipped.
WITH old AS MATERIALIZED (
  SELECT hour, account_id, model FROM usage_hours
  WHERE hour < date_trunc('day', now() - make_interval(days => $1), 'UTC')
    AND extract(hour FROM hour AT TIME ZONE 'UTC') <> 0
  ORDER BY hour, account_id, model LIMIT $2 FOR UPDATE SKIP LOCKED
), removed AS (
  DELETE FROM usage_hours u USING old WHERE (u.hour, u.account_id, u.model) = (old.hour, old.account_id, old.model)
  RETURNING u.*
), folded AS (
  INSERT INTO usage_hours AS u (hour, account_id, model, tasks, successes, credits, upstream_cost_micros, unpriced)
  SELECT date_trunc('day', hour, 'UTC') AS day, account_id, model, sum(tasks), sum(successes), sum(credits),
         sum(upstream_cost_micros), sum(unpriced)
  FROM removed GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
  ON CONFLICT (hour, account_id, model) DO UPDATE SET
    tasks = u.tasks + excluded.tasks, successes = u.successes + excluded.successes,
    credits = u.credits + excluded.credits, unpriced = u.unpriced + excluded.unpriced,
    upstream_cost_micros = u.upstream_cost_micros + excluded.upstream_cost_micros
)
SELECT count(*) AS hours FROM removed;
