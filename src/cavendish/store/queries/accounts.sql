-- name: ensure_account
-- The account of that name, made when it does not exist.
WITH made AS (
  INSERT INTO accounts (name) VALUES ($1) ON CONFLICT (name) DO NOTHING RETURNING id
)
SELECT id FROM made UNION ALL SELECT id FROM accounts WHERE name = $1 LIMIT 1;

-- name: grant
-- Add credits: the entry and the totals in one statement.
WITH changed AS (
  UPDATE accounts SET available = available + $2, granted = granted + $2 WHERE name = $1
  RETURNING id, available, held, charged, granted
), entry AS (
  INSERT INTO credit_entries (account_id, kind, amount, note) SELECT id, 'grant', $2, $3 FROM changed
)
SELECT available, held, charged, granted FROM changed;

-- name: balance
SELECT available, held, charged, granted FROM accounts WHERE id = $1;

-- name: balance_by_name
SELECT id, available, held, charged, granted FROM accounts WHERE name = $1;

-- name: entries
-- Every entry of an account, oldest first: what the totals are proved from.
SELECT kind, amount FROM credit_entries WHERE account_id = $1 ORDER BY id;

-- name: create_key
INSERT INTO api_keys (account_id, hash, prefix, creates_per_minute, in_flight_limit, expires_at, operator)
VALUES ($1, $2, $3, $4, $5, now() + make_interval(days => $6), $7) RETURNING id;

-- name: list_keys
SELECT k.prefix, a.name AS account, k.created_at, k.expires_at, k.revoked_at, k.creates_per_minute,
       k.in_flight_limit, k.in_flight, k.operator
FROM api_keys k JOIN accounts a ON a.id = k.account_id ORDER BY k.id;

-- name: revoke_keys
-- End the keys with that prefix, and tell every API process to forget them now.
WITH ended AS (
  UPDATE api_keys SET revoked_at = now() WHERE starts_with(prefix, $1) AND revoked_at IS NULL RETURNING prefix
)
SELECT prefix, pg_notify('cavendish_keys', '') FROM ended;

-- name: prefixes
-- Keys that a prefix could mean.
SELECT prefix, revoked_at IS NOT NULL AS revoked FROM api_keys WHERE starts_with(prefix, $1);

-- name: find_key
-- What a key opens, by the hash of its text.
SELECT k.id, k.hash, k.account_id, a.name AS account, k.operator,
       extract(epoch FROM k.expires_at - clock_timestamp())::float8 AS expires_in_seconds
FROM api_keys k JOIN accounts a ON a.id = k.account_id
WHERE k.hash = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp());

-- name: any_key
-- Whether there is a key of any account but the one named $1.
SELECT EXISTS (SELECT FROM api_keys JOIN accounts ON accounts.id = account_id WHERE accounts.name <> $1) AS found;
