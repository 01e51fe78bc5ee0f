-- The state of the installation as numbers, for metrics and readiness. Each query is bounded by an index or a limit.

-- name: bound_statements(timeout_ms)$
-- Let no statement of this transaction take longer.
SELECT set_config('statement_timeout', :timeout_ms, true);

-- name: is_read_only()$
-- Tell whether nothing can be written here: a standby, or a server that was set to refuse.
SELECT current_setting('transaction_read_only') = 'on';

-- name: check_requests(most, ring_again_s)^
-- Count the checks that were asked for, up to a limit, by what they wait for; and how long the oldest waits that is due,
-- and that somebody should have been woken for by now.
WITH asked AS MATERIALIZED (
    SELECT next_check_at, rung_at,
        lease_until > now() IS TRUE AS held,
        next_check_at <= now() AS is_due
    FROM gateway_invoice
    WHERE requested > served AND external_id IS NOT NULL AND parked_at IS NULL
    ORDER BY next_check_at
    LIMIT :most
)
SELECT
    count(*) FILTER (WHERE held) AS running,
    count(*) FILTER (WHERE is_due AND NOT held) AS due,
    count(*) FILTER (WHERE NOT is_due AND NOT held) AS waiting,
    coalesce(extract(epoch FROM now() - min(next_check_at) FILTER (WHERE is_due AND NOT held)), 0)::float8 AS oldest_due_s,
    greatest(0, extract(epoch FROM now() - min(greatest(next_check_at, rung_at + :ring_again_s * interval '1 second'))
        FILTER (WHERE is_due AND NOT held)))::float8 AS unrung_s
FROM asked;

-- name: parked(most)^
-- Count the checks, the closings and the notifications that wait for a person, up to a limit.
SELECT
    (SELECT count(*) FROM (SELECT FROM gateway_invoice WHERE parked_at IS NOT NULL LIMIT :most) AS p) AS checks,
    (
        SELECT count(*)
        FROM (SELECT FROM gateway_invoice WHERE close_parked_at IS NOT NULL AND state = 'closing' LIMIT :most) AS p
    ) AS closings,
    (SELECT count(*) FROM (SELECT FROM notification WHERE state = 'parked' LIMIT :most) AS p) AS notifications;

-- name: notifications(most)^
-- Count what the application is to be told and has not got, up to a limit; and how long ago the oldest was staged.
SELECT count(*) AS pending, coalesce(greatest(0, extract(epoch FROM now() - min(staged_at))), 0)::float8 AS oldest_s
FROM (SELECT staged_at FROM notification WHERE state = 'pending' ORDER BY next_try_at LIMIT :most) AS p;

-- name: owed_qrs(most)^
-- Count the invoices that are owed a QR since theirs was closed to be renewed, up to a limit, and how long the first is.
SELECT count(*) AS count, coalesce(extract(epoch FROM now() - min(owed_since)), 0)::float8 AS oldest_s
FROM (SELECT owed_since FROM owed_qr LIMIT :most) AS owed;

-- name: open_discrepancies(most)
-- Count open questions by kind, up to a limit in all.
SELECT kind, count(*) AS open
FROM (SELECT kind FROM discrepancy WHERE state = 'open' LIMIT :most) AS questions
GROUP BY kind;

-- name: suspense(most)
-- Read what lies in suspense, up to a number of gateways and currencies.
SELECT gateway, currency, net_minor
FROM suspense_balance
ORDER BY gateway, currency
LIMIT :most;

-- name: found(most)
-- Count the payments that gateways proved in the last day, by what made us look. The index knows where in the table such
-- late events are.
SELECT gateway, source, count(*) AS payments
FROM payment_event
WHERE recorded_at >= now() - interval '1 day'
    AND kind = 'received' AND ref = 'gateway' AND source IN ('callback', 'sweep', 'refresh', 'command')
GROUP BY gateway, source
LIMIT :most;

-- name: schedule(most)
-- Read of each job how long ago a run was last done, since when one is unfinished, and whether the last that ended was
-- given up. Jobs are found one after the other through the index: their runs are many.
WITH RECURSIVE jobs (job) AS (
    (SELECT job FROM schedule_run ORDER BY job LIMIT 1)
    UNION ALL
    SELECT (SELECT r.job FROM schedule_run AS r WHERE r.job > jobs.job ORDER BY r.job LIMIT 1)
    FROM jobs
    WHERE jobs.job IS NOT NULL
)
SELECT jobs.job,
    extract(epoch FROM now() - done.finished_at)::float8 AS done_ago_s,
    greatest(0, extract(epoch FROM now() - unfinished.begun_at))::float8 AS unfinished_s,
    coalesce(ended.outcome = 'failed', false) AS failed
FROM jobs
LEFT JOIN LATERAL (
    SELECT finished_at FROM schedule_run AS r
    WHERE r.job = jobs.job AND r.outcome = 'done' ORDER BY r.id DESC LIMIT 1
) AS done ON true
LEFT JOIN LATERAL (
    SELECT outcome FROM schedule_run AS r
    WHERE r.job = jobs.job AND r.finished_at IS NOT NULL ORDER BY r.id DESC LIMIT 1
) AS ended ON true
LEFT JOIN LATERAL (
    SELECT begun_at FROM schedule_run AS r
    WHERE r.job = jobs.job AND r.finished_at IS NULL ORDER BY r.id LIMIT 1
) AS unfinished ON true
WHERE jobs.job IS NOT NULL
LIMIT :most;

-- name: reconciled(most)
-- Read of each gateway, from the comparisons that were made last, how long ago the newest compared day ended (by UTC), and
-- how many payments were open when each day was last compared.
SELECT last.gateway,
    greatest(0, extract(epoch FROM now() - (max(last.day) + 1)::timestamp AT TIME ZONE 'UTC'))::float8 AS behind_s,
    sum(last.open)::bigint AS open
FROM (
    SELECT DISTINCT ON (run.gateway, run.day) run.gateway, run.day, run.open
    FROM (SELECT id, gateway, day, open FROM reconciliation_run ORDER BY id DESC LIMIT :most) AS run
    ORDER BY run.gateway, run.day, run.id DESC
) AS last
GROUP BY last.gateway;
