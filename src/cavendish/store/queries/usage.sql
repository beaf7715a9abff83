-- name: totals
-- Usage from $1 up to, not including, $2 (NULL: up to now), by what $3 says: model, account or day (UTC). Walks the hours of
-- that period in the primary key, however many tasks there were.
SELECT CASE $3 WHEN 'model' THEN u.model WHEN 'account' THEN a.name
               ELSE to_char(u.hour AT TIME ZONE 'UTC', 'YYYY-MM-DD') END AS name,
       sum(u.tasks)::bigint AS tasks, sum(u.successes)::bigint AS successes, sum(u.credits)::bigint AS credits,
       sum(u.upstream_cost_micros)::bigint AS upstream_cost_micros, sum(u.unpriced)::bigint AS unpriced
FROM usage_hours u JOIN accounts a ON a.id = u.account_id
WHERE u.hour >= $1 AND u.hour < coalesce($2, 'infinity'::timestamptz)
GROUP BY 1 ORDER BY 1;
