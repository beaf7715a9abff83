-- Callbacks: one row for each ended task that has a URL, written by the transaction that ends the task.

-- 256 bits from the server's strong random source: two UUIDs, of which 244 bits are random.
ALTER TABLE accounts
  ADD COLUMN webhook_secret text NOT NULL
    DEFAULT 'whsec_' || encode(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), 'base64')
    CHECK (webhook_secret ~ '^whsec_[A-Za-z0-9+/]{32,}={0,2}$'),
  ADD COLUMN webhook_secret_before text,
  ADD COLUMN webhook_secret_before_until timestamptz,
  ADD CONSTRAINT an_old_secret_has_an_end CHECK
    ((webhook_secret_before IS NULL) = (webhook_secret_before_until IS NULL));

COMMENT ON COLUMN accounts.webhook_secret IS 'signs callbacks; shown to its owner, so it is stored as it is';
COMMENT ON COLUMN accounts.webhook_secret_before IS 'the secret before the last rotation: signs beside the new one for a day';

CREATE TABLE callbacks (
  task_id         text COLLATE "C" PRIMARY KEY,
  account_id      bigint NOT NULL,
  webhook_id      text NOT NULL DEFAULT 'msg_' || replace(gen_random_uuid()::text, '-', ''),
  host            text NOT NULL,
  state           text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'gone', 'failed')),
  slow            boolean NOT NULL DEFAULT false,
  failures        integer NOT NULL DEFAULT 0,
  postponed       integer NOT NULL DEFAULT 0,
  claim           integer NOT NULL DEFAULT 0,
  next_attempt_at timestamptz NOT NULL DEFAULT now(),
  created_at      timestamptz NOT NULL DEFAULT now(),
  ended_at        timestamptz,
  CONSTRAINT an_ended_callback_has_a_time CHECK ((state = 'pending') = (ended_at IS NULL))
) WITH (fillfactor = 70);

COMMENT ON COLUMN callbacks.webhook_id IS 'what receivers know a delivery by: the same for every attempt';
COMMENT ON COLUMN callbacks.host IS 'host and port of the URL: what concurrency is limited by';
COMMENT ON COLUMN callbacks.slow IS 'it failed, or had to wait for its host, before: never in the way of first attempts';
COMMENT ON COLUMN callbacks.claim IS 'how often it was claimed: the fence of what its deliverer writes';
COMMENT ON COLUMN callbacks.next_attempt_at IS 'when it is due; a claim moves it ahead, so that it is due again if its deliverer dies';

CREATE INDEX callbacks_due ON callbacks (slow, next_attempt_at) WHERE state = 'pending';
CREATE INDEX callbacks_unsuccessful ON callbacks (ended_at) WHERE state IN ('gone', 'failed');

CREATE TABLE callback_attempts (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  task_id      text COLLATE "C" NOT NULL,
  started_at   timestamptz NOT NULL,
  milliseconds integer NOT NULL CHECK (milliseconds >= 0),
  status       integer,
  error        text CHECK (length(error) <= 100),
  answer       text CHECK (length(answer) <= 4096),
  CONSTRAINT an_attempt_has_an_answer_or_an_error CHECK ((status IS NULL) = (error IS NOT NULL))
);

CREATE INDEX callback_attempts_of_task ON callback_attempts (task_id, id);
