-- name: publish
-- What the process $1 says about itself now.
INSERT INTO worker_reports (id, report) VALUES ($1, $2::text::jsonb)
ON CONFLICT (id) DO UPDATE SET report = excluded.report, reported_at = clock_timestamp();

-- name: withdraw
DELETE FROM worker_reports WHERE id = $1;

-- name: current
-- What processes said within the last $1 seconds.
SELECT report::text AS report, (extract(epoch FROM reported_at) * 1000)::bigint AS reported_ms,
       greatest(0, extract(epoch FROM clock_timestamp() - reported_at))::integer AS silent_seconds
FROM worker_reports WHERE reported_at > clock_timestamp() - make_interval(secs => $1)
ORDER BY report ->> 'worker', id;

-- name: drop_silent
-- Forget processes that have said nothing for $1 seconds.
DELETE FROM worker_reports WHERE reported_at <= clock_timestamp() - make_interval(secs => $1);
