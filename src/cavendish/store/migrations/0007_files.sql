-- Uploaded input images, and which tasks use them.

ALTER TABLE accounts ADD COLUMN upload_bytes bigint NOT NULL DEFAULT 0 CHECK (upload_bytes >= 0);

COMMENT ON COLUMN accounts.upload_bytes IS 'the sum of counted_bytes of the account''s files';

CREATE TABLE files (
  name          text COLLATE "C" PRIMARY KEY CHECK (length(name) <= 100),
  account_id    bigint NOT NULL REFERENCES accounts,
  bytes         bigint NOT NULL CHECK (bytes > 0),
  counted_bytes bigint NOT NULL CHECK (counted_bytes >= bytes),
  format        text NOT NULL CHECK (format IN ('png', 'jpeg', 'webp')),
  width         integer NOT NULL CHECK (width > 0),
  height        integer NOT NULL CHECK (height > 0),
  created_at    timestamptz NOT NULL DEFAULT now(),
  expires_at    timestamptz NOT NULL
);

COMMENT ON COLUMN files.counted_bytes IS 'what it takes of the account''s room: small files count as more than they have';

CREATE INDEX files_by_expiry ON files (expires_at);
CREATE INDEX files_of_account ON files (account_id, expires_at);

-- A task that was accepted keeps its files until it has ended.
CREATE TABLE file_uses (
  file_name text COLLATE "C" NOT NULL REFERENCES files ON DELETE CASCADE,
  task_id   text COLLATE "C" NOT NULL,
  PRIMARY KEY (file_name, task_id)
);
