-- :rows finished tasks of the account `bench`, from number :start on, with their holds and settlements and the grant that
-- paid for them.
WITH key AS (
  SELECT k.id, k.account_id FROM api_keys k JOIN accounts a ON a.id = k.account_id WHERE a.name = 'bench' LIMIT 1
), numbers AS (
  SELECT :start + n AS n, 'task_gemini-2.5-flash-image_' || (1700000000000 + :start + n) || '_' || substr(md5(n::text), 1, 8) AS id
  FROM generate_series(1, :rows) AS n
), tasks AS (
  INSERT INTO tasks (id, account_id, key_id, model, state, param, public_url, price, turn, attempt, result_blobs,
                     result_width, result_height, credits_charged, created_at, finished_at)
  SELECT numbers.id, key.account_id, key.id, 'google/nano-banana', 'success',
         '{"model":"google/nano-banana","input":{"prompt":"an orange cat on a windowsill watching the rain","output_format":"png","image_size":"1:1"}}',
         'http://127.0.0.1:8787', 3, 0, 1, ARRAY[md5(numbers.id) || '.png'], 1024, 1024, 3,
         now() - interval '29 days' + n * interval '0.4 s', now() - interval '29 days' + n * interval '0.4 s' + interval '5 s'
  FROM numbers, key
), grants AS (
  INSERT INTO credit_entries (account_id, kind, amount, note) SELECT account_id, 'grant', 3 * :rows, 'filler' FROM key
), entries AS (
  INSERT INTO credit_entries (account_id, kind, amount, task_id)
  SELECT key.account_id, kind, 3, numbers.id FROM numbers, key, (VALUES ('hold'), ('settle')) AS kinds(kind)
)
UPDATE accounts SET granted = granted + 3 * :rows, charged = charged + 3 * :rows WHERE name = 'bench';
