-- :rows finished tasks of an account of their own, from number :start on, with their holds and settlements.
WITH account AS (
  INSERT INTO accounts (name) VALUES ('filler') ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id
), key AS (
  INSERT INTO api_keys (account_id, hash, prefix, creates_per_minute, in_flight_limit)
  SELECT id, sha256('filler'::bytea), 'sk-fillerxx', 1, 1 FROM account
  ON CONFLICT (hash) DO UPDATE SET prefix = excluded.prefix RETURNING id
), numbers AS (
  SELECT :start + n AS n, 'task_gemini-2.5-flash-image_' || (1700000000000 + :start + n) || '_' || substr(md5(n::text), 1, 8) AS id
  FROM generate_series(1, :rows) AS n
), tasks AS (
  INSERT INTO tasks (id, account_id, key_id, model, state, param, public_url, price, turn, attempt, result_blobs,
                     result_width, result_height, credits_charged, created_at, finished_at)
  SELECT numbers.id, account.id, key.id, 'google/nano-banana', 'success',
         '{"model":"google/nano-banana","input":{"prompt":"an orange cat on a windowsill watching the rain","output_format":"png","image_size":"1:1"}}',
         'http://127.0.0.1:8787', 3, 0, 1, ARRAY[md5(numbers.id) || '.png'], 1024, 1024, 3,
         now() - interval '29 days' + n * interval '0.4 s', now() - interval '29 days' + n * interval '0.4 s' + interval '5 s'
  FROM numbers, account, key
), entries AS (
  INSERT INTO credit_entries (account_id, kind, amount, task_id)
  SELECT account.id, kind, 3, numbers.id FROM numbers, account, (VALUES ('hold'), ('settle')) AS kinds(kind)
)
UPDATE accounts SET granted = granted + 3 * :rows, charged = charged + 3 * :rows WHERE name = 'filler' AND false;
