-- What tasks cost upstream, totals that outlive the tasks, operator keys, and what workers say about their engines.

ALTER TABLE tasks
  ADD COLUMN upstream_usage jsonb,
  ADD COLUMN upstream_cost_micros bigint;

COMMENT ON COLUMN tasks.upstream_usage IS 'tokens by upstream model, direction and modality, over all attempts; NULL: none';
COMMENT ON COLUMN tasks.upstream_cost_micros IS 'what they cost in micro-dollars; NULL beside tokens: a model has no price';

-- Written by the statement that ends tasks, under the account's lock: one row for each hour, account and model, so that a
-- report reads as many rows however many tasks there were, and still after they were removed.
CREATE TABLE usage_hours (
  hour                 timestamptz NOT NULL,
  account_id           bigint NOT NULL,
  model                text COLLATE "C" NOT NULL,
  tasks                bigint NOT NULL CHECK (tasks >= 0),
  successes            bigint NOT NULL CHECK (successes BETWEEN 0 AND tasks),
  credits              bigint NOT NULL CHECK (credits >= 0),
  upstream_cost_micros bigint NOT NULL CHECK (upstream_cost_micros >= 0),
  unpriced             bigint NOT NULL CHECK (unpriced BETWEEN 0 AND tasks),
  PRIMARY KEY (hour, account_id, model)
) WITH (fillfactor = 50);  -- updated by every batch: room for updates in place

COMMENT ON COLUMN usage_hours.hour IS 'when the tasks ended; long afterwards the hours of a day (UTC) are folded into its first';
COMMENT ON COLUMN usage_hours.unpriced IS 'tasks that used upstream tokens of a model without a price: their cost is not in the sum';

CREATE INDEX usage_unfolded ON usage_hours (hour) WHERE extract(hour FROM hour AT TIME ZONE 'UTC') <> 0;

INSERT INTO usage_hours (hour, account_id, model, tasks, successes, credits, upstream_cost_micros, unpriced)
SELECT date_trunc('hour', finished_at, 'UTC'), account_id, model, count(*), count(*) FILTER (WHERE state = 'success'),
       sum(credits_charged), 0, 0
FROM tasks WHERE finished_at IS NOT NULL GROUP BY 1, 2, 3;

ALTER TABLE api_keys ADD COLUMN operator boolean NOT NULL DEFAULT false;

COMMENT ON COLUMN api_keys.operator IS 'it may also read /api/v1/admin';

CREATE TABLE worker_reports (
  id          uuid PRIMARY KEY,
  reported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  report      jsonb NOT NULL
) WITH (fillfactor = 50);

COMMENT ON TABLE worker_reports IS 'what each worker process says about itself and its engine, newest word only';
