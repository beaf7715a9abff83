-- Idempotent creates, and cancel.

CREATE TABLE idempotency_keys (
  account_id bigint NOT NULL REFERENCES accounts,
  key        text COLLATE "C" NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
  task_id    text COLLATE "C" NOT NULL,
  param      text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (account_id, key)
);

COMMENT ON COLUMN idempotency_keys.param IS 'what the first request asked for, to tell a repetition from another request';

CREATE INDEX idempotency_keys_age ON idempotency_keys USING brin (created_at);

ALTER TABLE tasks ADD COLUMN cancel_requested boolean NOT NULL DEFAULT false;

COMMENT ON COLUMN tasks.cancel_requested IS 'its owner gave it up while a worker held it: whatever comes back, it ends as canceled';
