-- A batch of creates in one round trip. The function takes all of them or none: locks the accounts, then the keys (in id
-- order, as lock_keys does), sums up what the batch asks for, and writes everything when all of it fits. When something
-- does not fit, or an idempotency key is known already, it writes nothing and answers false; then the batch is decided
-- task by task by the rules in domain/credits.py and domain/limits.py. See docs/decisions/0010-one-round-trip.md.
--
-- The first arrays have one entry per account (credits to hold, number of tasks), then one per key (number of tasks),
-- then one per task; `place` is a task's number among those of its account, from 1; `request_keys` has NULLs.

CREATE FUNCTION accept_tasks(
  accounts_asked bigint[], credits_asked bigint[], tasks_asked bigint[],
  keys_asked bigint[], key_tasks_asked integer[],
  ids text[], account_ids bigint[], key_ids bigint[], models text[], params text[], callback_urls text[],
  public_urls text[], blobs text[], prices bigint[], places bigint[], request_keys text[]
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  fits boolean;
  minute_ago timestamptz;
BEGIN
  SELECT count(*) = cardinality(accounts_asked) AND bool_and(a.available >= n.credits) INTO fits
  FROM (SELECT id, available FROM accounts WHERE id = ANY(accounts_asked) ORDER BY id FOR NO KEY UPDATE) a
  JOIN unnest(accounts_asked, credits_asked) AS n(id, credits) USING (id);
  IF NOT fits THEN
    RETURN false;
  END IF;

  -- Read once, and under the lock: the check and the write below must agree on whether the key's minute is over.
  minute_ago := clock_timestamp() - interval '60 seconds';
  SELECT count(*) = cardinality(keys_asked)
         AND bool_and(k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
                      AND n.tasks + CASE WHEN k.window_started_at > minute_ago THEN k.window_creates ELSE 0 END
                          <= k.creates_per_minute
                      AND n.tasks + k.in_flight <= k.in_flight_limit) INTO fits
  FROM (
    SELECT id, revoked_at, expires_at, window_started_at, window_creates, creates_per_minute, in_flight, in_flight_limit
    FROM api_keys WHERE id = ANY(keys_asked) AND account_id = ANY(accounts_asked) ORDER BY id FOR NO KEY UPDATE
  ) k
  JOIN unnest(keys_asked, key_tasks_asked) AS n(id, tasks) USING (id);
  IF NOT fits THEN
    RETURN false;
  END IF;

  IF cardinality(array_remove(request_keys, NULL)) > 0 THEN
    PERFORM FROM idempotency_keys JOIN unnest(account_ids, request_keys) AS n(account_id, key) USING (account_id, key);
    IF FOUND THEN
      RETURN false;
    END IF;
    INSERT INTO idempotency_keys (account_id, key, task_id, param)
    SELECT n.account_id, n.key, n.id, n.param
    FROM unnest(account_ids, request_keys, ids, params) AS n(account_id, key, id, param) WHERE n.key IS NOT NULL;
  END IF;

  WITH new_accounts AS (
    UPDATE accounts a SET available = a.available - n.credits, held = a.held + n.credits,
                          next_turn = greatest(a.next_turn, (SELECT last_value FROM queue_turn)) + n.tasks
    FROM unnest(accounts_asked, credits_asked, tasks_asked) AS n(id, credits, tasks)
    WHERE a.id = n.id
    RETURNING a.id, a.next_turn - n.tasks AS turn
  ), new_keys AS (
    UPDATE api_keys k SET
      window_started_at = CASE WHEN k.window_started_at > minute_ago THEN k.window_started_at ELSE clock_timestamp() END,
      window_creates = n.tasks + CASE WHEN k.window_started_at > minute_ago THEN k.window_creates ELSE 0 END,
      in_flight = k.in_flight + n.tasks
    FROM unnest(keys_asked, key_tasks_asked) AS n(id, tasks)
    WHERE k.id = n.id
  ), new_tasks AS (
    INSERT INTO tasks (id, account_id, key_id, model, param, callback_url, public_url, input_blobs, price, turn)
    SELECT n.id, n.account_id, n.key_id, n.model, n.param, n.callback_url, n.public_url,
           CASE WHEN n.blobs = '' THEN '{}' ELSE string_to_array(n.blobs, ' ') END, n.price, a.turn + n.place
    FROM unnest(ids, account_ids, key_ids, models, params, callback_urls, public_urls, blobs, prices, places)
      AS n(id, account_id, key_id, model, param, callback_url, public_url, blobs, price, place)
    JOIN new_accounts a ON a.id = n.account_id
  )
  INSERT INTO credit_entries (account_id, kind, amount, task_id)
  SELECT n.account_id, 'hold', n.price, n.id FROM unnest(account_ids, prices, ids) AS n(account_id, price, id);

  PERFORM pg_notify('cavendish_waiting', '');
  RETURN true;
END $$;
