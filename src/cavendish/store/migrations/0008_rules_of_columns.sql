-- PostgreSQL reads the CHECKs of a table anew for every statement that writes it, whichever columns it writes: a quarter of
-- what a create alone in its batch cost. So a rule about one column that is seldom written is a rule of its type, which a
-- session reads once and only a write of that column asks; and rules that speak of the same columns are one. What a row may
-- be is what it was. See docs/decisions/0021-rules-of-columns.md.
-- The order of the tables is that of every create: accounts, keys, tasks.

-- The types get their rules at the end, when they are the columns' types: so the tables are read, and not written anew.
CREATE DOMAIN account_name AS text;
CREATE DOMAIN signing_secret AS text;
CREATE DOMAIN key_hash AS bytea;
CREATE DOMAIN key_prefix AS text;
CREATE DOMAIN entry_note AS text;
CREATE DOMAIN fail_code AS text;
CREATE DOMAIN message AS text;
CREATE DOMAIN callback_address AS text;

ALTER TABLE accounts
  DROP CONSTRAINT accounts_name_check, DROP CONSTRAINT accounts_webhook_secret_check,
  DROP CONSTRAINT accounts_available_check, DROP CONSTRAINT accounts_held_check, DROP CONSTRAINT accounts_charged_check,
  DROP CONSTRAINT accounts_granted_check,
  ALTER COLUMN name TYPE account_name,
  ALTER COLUMN webhook_secret TYPE signing_secret,
  ADD CONSTRAINT no_credits_below_zero CHECK (least(available, held, charged) >= 0);  -- granted is their sum

ALTER TABLE api_keys
  DROP CONSTRAINT api_keys_hash_check, DROP CONSTRAINT api_keys_prefix_check,
  DROP CONSTRAINT api_keys_creates_per_minute_check, DROP CONSTRAINT api_keys_in_flight_limit_check,
  DROP CONSTRAINT api_keys_window_creates_check, DROP CONSTRAINT api_keys_in_flight_check,
  ALTER COLUMN hash TYPE key_hash,
  ALTER COLUMN prefix TYPE key_prefix,
  ADD CONSTRAINT a_key_may_do_something CHECK (least(creates_per_minute, in_flight_limit) >= 1),
  ADD CONSTRAINT no_counter_below_zero CHECK (least(window_creates, in_flight) >= 0);

ALTER TABLE tasks
  DROP CONSTRAINT tasks_callback_url_check, DROP CONSTRAINT tasks_note_check, DROP CONSTRAINT tasks_fail_code_check,
  DROP CONSTRAINT tasks_fail_msg_check, DROP CONSTRAINT tasks_fail_msg_zh_check,
  DROP CONSTRAINT tasks_state_check, DROP CONSTRAINT a_held_task_has_a_lease, DROP CONSTRAINT a_finished_task_has_a_time,
  DROP CONSTRAINT a_success_has_images_and_is_charged,
  ALTER COLUMN callback_url TYPE callback_address,
  ALTER COLUMN note TYPE message,
  ALTER COLUMN fail_code TYPE fail_code,
  ALTER COLUMN fail_msg TYPE message,
  ALTER COLUMN fail_msg_zh TYPE message,
  ADD CONSTRAINT a_held_task_has_a_lease_and_a_finished_one_a_time CHECK
    (CASE WHEN lease_token IS NOT NULL THEN finished_at IS NULL AND state IN ('queuing', 'generating')
          WHEN finished_at IS NOT NULL THEN state IN ('success', 'fail')
          ELSE state = 'waiting' END),
  ADD CONSTRAINT a_success_has_images_and_is_charged CHECK
    (CASE WHEN state = 'success' THEN cardinality(result_blobs) > 0 AND credits_charged = price
          ELSE result_blobs = '{}' AND credits_charged = 0 END);

ALTER TABLE credit_entries
  DROP CONSTRAINT credit_entries_note_check,
  ALTER COLUMN note TYPE entry_note;

ALTER TABLE usage_hours
  DROP CONSTRAINT usage_hours_tasks_check, DROP CONSTRAINT usage_hours_check, DROP CONSTRAINT usage_hours_check1,
  DROP CONSTRAINT usage_hours_credits_check, DROP CONSTRAINT usage_hours_upstream_cost_micros_check,
  ADD CONSTRAINT no_more_of_some_than_of_all CHECK
    (least(tasks - successes, tasks - unpriced, successes, unpriced, credits, upstream_cost_micros) >= 0);

ALTER DOMAIN account_name ADD CONSTRAINT account_name_length CHECK (length(VALUE) BETWEEN 1 AND 100);
ALTER DOMAIN signing_secret ADD CONSTRAINT signing_secret_form CHECK (VALUE ~ '^whsec_[A-Za-z0-9+/]{32,}={0,2}$');
ALTER DOMAIN key_hash ADD CONSTRAINT key_hash_length CHECK (length(VALUE) = 32);
ALTER DOMAIN key_prefix ADD CONSTRAINT key_prefix_length CHECK (length(VALUE) BETWEEN 8 AND 20);
ALTER DOMAIN entry_note ADD CONSTRAINT entry_note_length CHECK (length(VALUE) <= 500);
ALTER DOMAIN fail_code ADD CONSTRAINT fail_code_known CHECK
  (VALUE IN ('content_rejected', 'no_image', 'bad_input_image', 'engine_busy', 'engine_error', 'timeout', 'canceled',
             'internal'));
ALTER DOMAIN message ADD CONSTRAINT message_length CHECK (length(VALUE) <= 2000);
ALTER DOMAIN callback_address ADD CONSTRAINT callback_address_length CHECK (length(VALUE) <= 2048);

-- As in 0005, but for known idempotency keys, which are looked up one by one: a plan from the hour when there were none read
-- them all.
CREATE OR REPLACE FUNCTION accept_tasks(
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
    PERFORM FROM unnest(account_ids, request_keys) AS n(account_id, key) CROSS JOIN LATERAL (
      SELECT FROM idempotency_keys WHERE account_id = n.account_id AND key = n.key OFFSET 0
    ) AS known;
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
