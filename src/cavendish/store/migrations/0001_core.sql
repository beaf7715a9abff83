-- Accounts, keys, the ledger, and the tasks table that is also the queue.
-- Every timestamp is the database's own: the clocks of API and worker machines decide nothing.
-- Whoever changes totals or counters locks the account's row first (accounts in id order, then tasks in id order);
-- that one rule makes balances and limits exact and deadlocks impossible.

CREATE TABLE accounts (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name       text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 100),
  available  bigint NOT NULL DEFAULT 0 CHECK (available >= 0),
  held       bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
  charged    bigint NOT NULL DEFAULT 0 CHECK (charged >= 0),
  granted    bigint NOT NULL DEFAULT 0 CHECK (granted >= 0),
  next_turn  bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT credits_add_up CHECK (available + held + charged = granted)
) WITH (fillfactor = 50);  -- updated by every batch: room for updates in place

COMMENT ON COLUMN accounts.next_turn IS 'the turn of the account''s next task in the fair order of the queue';

CREATE TABLE api_keys (
  id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id         bigint NOT NULL REFERENCES accounts,
  hash               bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
  prefix             text NOT NULL UNIQUE CHECK (length(prefix) BETWEEN 8 AND 20),
  creates_per_minute integer NOT NULL CHECK (creates_per_minute >= 1),
  in_flight_limit    integer NOT NULL CHECK (in_flight_limit >= 1),
  window_started_at  timestamptz,
  window_creates     integer NOT NULL DEFAULT 0 CHECK (window_creates >= 0),
  in_flight          integer NOT NULL DEFAULT 0 CHECK (in_flight >= 0),
  created_at         timestamptz NOT NULL DEFAULT now(),
  expires_at         timestamptz,
  revoked_at         timestamptz
) WITH (fillfactor = 50);

COMMENT ON COLUMN api_keys.hash IS 'SHA-256 of the key; the key itself is shown once and stored nowhere';

CREATE INDEX api_keys_account ON api_keys (account_id);

CREATE TABLE credit_entries (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id bigint NOT NULL REFERENCES accounts,
  kind       text NOT NULL CHECK (kind IN ('grant', 'hold', 'settle', 'release')),
  amount     bigint NOT NULL CHECK (amount >= 0),
  task_id    text COLLATE "C",
  note       text CHECK (length(note) <= 500),
  created_at timestamptz NOT NULL DEFAULT now(),
  CHECK ((kind = 'grant') = (task_id IS NULL))
);

-- At most one hold, and at most one settle or release, per task: charging twice is impossible, not only avoided.
CREATE UNIQUE INDEX credit_entries_once ON credit_entries (task_id, (kind = 'hold')) WHERE task_id IS NOT NULL;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'credit_entries is append-only: correct it with a new entry';
END $$;

CREATE TRIGGER credit_entries_append_only BEFORE UPDATE OR DELETE ON credit_entries
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER credit_entries_no_truncate BEFORE TRUNCATE ON credit_entries
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A lease is a worker's term: it holds every task that names its token, and renewing it is one row.
CREATE TABLE leases (
  token      uuid PRIMARY KEY,
  worker     text NOT NULL CHECK (length(worker) <= 200),
  expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- The queue's virtual time: the turn claimed last. A sequence, because it may be wrong by a little and must never block.
CREATE SEQUENCE queue_turn MINVALUE 0 START 0;
SELECT setval('queue_turn', 0);

CREATE TABLE tasks (
  id              text COLLATE "C" PRIMARY KEY CHECK (length(id) <= 200),
  account_id      bigint NOT NULL REFERENCES accounts,
  key_id          bigint NOT NULL REFERENCES api_keys,
  model           text NOT NULL,
  state           text NOT NULL DEFAULT 'waiting'
                  CHECK (state IN ('waiting', 'queuing', 'generating', 'success', 'fail')),
  param           text NOT NULL,
  callback_url    text CHECK (length(callback_url) <= 2048),
  public_url      text NOT NULL,
  input_blobs     text[] NOT NULL DEFAULT '{}',
  price           bigint NOT NULL CHECK (price >= 0),
  turn            bigint NOT NULL,
  attempt         integer NOT NULL DEFAULT 0,
  faults          integer NOT NULL DEFAULT 0,
  lease_token     uuid,
  result_blobs    text[] NOT NULL DEFAULT '{}',
  result_width    integer,
  result_height   integer,
  note            text CHECK (length(note) <= 2000),
  fail_code       text CHECK (fail_code IN ('content_rejected', 'no_image', 'bad_input_image', 'engine_busy',
                                            'engine_error', 'timeout', 'canceled', 'internal')),
  fail_msg        text CHECK (length(fail_msg) <= 2000),
  fail_msg_zh     text CHECK (length(fail_msg_zh) <= 2000),
  credits_charged bigint NOT NULL DEFAULT 0,
  created_at      timestamptz NOT NULL DEFAULT now(),
  finished_at     timestamptz,
  CONSTRAINT a_held_task_has_a_lease CHECK ((state IN ('queuing', 'generating')) = (lease_token IS NOT NULL)),
  CONSTRAINT a_finished_task_has_a_time CHECK ((state IN ('success', 'fail')) = (finished_at IS NOT NULL)),
  CONSTRAINT a_success_has_images_and_is_charged CHECK
    ((state = 'success') = (cardinality(result_blobs) > 0)
     AND credits_charged = CASE WHEN state = 'success' THEN price ELSE 0 END),
  CONSTRAINT a_failure_has_a_reason CHECK ((state = 'fail') = (fail_code IS NOT NULL AND fail_msg IS NOT NULL))
);

COMMENT ON COLUMN tasks.param IS 'the request''s model, callBackUrl and input as JSON, inline image bytes cut out';
COMMENT ON COLUMN tasks.attempt IS 'how often it was claimed; with lease_token the fence of every write by its holder';
COMMENT ON COLUMN tasks.faults IS 'how many attempts ended without an outcome (worker died, unforeseen error)';
COMMENT ON COLUMN tasks.turn IS 'place in the fair order: accounts take turns, each account first come first served';

CREATE INDEX tasks_claim ON tasks (turn, id) WHERE state = 'waiting';
CREATE INDEX tasks_leased ON tasks (lease_token) WHERE lease_token IS NOT NULL;
CREATE INDEX tasks_of_account ON tasks (account_id, created_at DESC, id DESC);
CREATE INDEX tasks_age ON tasks USING brin (created_at);
