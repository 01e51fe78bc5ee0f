-- The runs of the schedule. Leases and waits use PostgreSQL's clock; one that was set back does not make them longer.

-- name: clock()$
-- Read PostgreSQL's clock: the one that all schedulers share.
SELECT clock_timestamp();

-- name: first_night(job)$
-- Read the earliest recorded night of a job.
SELECT min(period)
FROM schedule_run
WHERE job = :job;

-- name: nights(job, first, last)
-- Read which nights of a range are recorded.
SELECT period
FROM schedule_run
WHERE job = :job AND period BETWEEN :first AND :last;

-- name: last_run(job)^
-- Read the run of a job that was entered last.
SELECT period, begun_at, finished_at, attempts, outcome, result
FROM schedule_run
WHERE job = :job
ORDER BY id DESC
LIMIT 1;

-- name: enter_run(job, period, now)!
-- Decide that a period of a job is run; nothing happens when somebody was faster. It waits for no time: a clock that is
-- set back before a worker has come would make it wait again.
INSERT INTO schedule_run (job, period, begun_at, next_try_at)
VALUES (:job, :period, :now, '-infinity')
ON CONFLICT (job, period) DO NOTHING;

-- name: ring_runs(lease_s, wait_max_s, ring_again_s)
-- Take note that a worker is woken now for each run that waits for one; runs of one job are done one after the other.
WITH due AS (
    SELECT r.id
    FROM schedule_run AS r
    WHERE r.finished_at IS NULL
        AND (r.next_try_at <= now() OR r.next_try_at > now() + :wait_max_s * interval '1 second')
        AND (
            r.lease_until IS NULL OR r.lease_until <= now()
            OR r.lease_until > now() + :lease_s * interval '1 second' + interval '1 minute'
        )
        AND (r.rung_at IS NULL OR r.rung_at <= now() - :ring_again_s * interval '1 second' OR r.rung_at > now())
        AND NOT EXISTS (
            SELECT FROM schedule_run AS earlier
            WHERE earlier.finished_at IS NULL AND earlier.job = r.job AND earlier.id < r.id
        )
    ORDER BY r.id
    LIMIT 100
    FOR UPDATE SKIP LOCKED
)
UPDATE schedule_run AS r SET rung_at = now()
FROM due
WHERE r.id = due.id
RETURNING r.id;

-- name: claim_run(id, jobs, lease_token, lease_s, wait_max_s)^
-- Take a run that is due and free, if its job is one of these; others are left to workers who know them. A lease that is
-- too long was written by a clock that has been set back since; one that is a little too long, by somebody whose
-- transaction began after this one and was faster: hence the minute. That is no attempt that failed: its holder may well be
-- at work. Should its holder die, nothing but the lease is waited for.
UPDATE schedule_run AS r SET
    lease_token = :lease_token,
    lease_until = now() + :lease_s * interval '1 second',
    next_try_at = '-infinity',
    attempts = attempts
        + (r.lease_until IS NULL OR r.lease_until <= now() + :lease_s * interval '1 second' + interval '1 minute')::integer
WHERE r.id = :id
    AND r.job = ANY (:jobs::text[])
    AND r.finished_at IS NULL
    AND (r.next_try_at <= now() OR r.next_try_at > now() + :wait_max_s * interval '1 second')
    AND (
        r.lease_until IS NULL OR r.lease_until <= now()
        OR r.lease_until > now() + :lease_s * interval '1 second' + interval '1 minute'
    )
    AND NOT EXISTS (
        SELECT FROM schedule_run AS earlier
        WHERE earlier.finished_at IS NULL AND earlier.job = r.job AND earlier.id < r.id
    )
RETURNING id, job, period, attempts;

-- name: keep_run(id, lease_token, lease_s)!
-- Put off the end of a lease, if it is still its holder's.
UPDATE schedule_run SET lease_until = now() + :lease_s * interval '1 second'
WHERE id = :id AND lease_token = :lease_token;

-- name: finish_run(id, lease_token, outcome, result)!
-- Write how a run ended, if the lease is still its holder's.
UPDATE schedule_run SET
    finished_at = now(), outcome = :outcome, result = :result, lease_token = NULL, lease_until = NULL
WHERE id = :id AND lease_token = :lease_token;

-- name: put_back_run(id, lease_token, delay_s, result, uncounted)!
-- Let a run be tried again in a while, if the lease is still its holder's; "uncounted" where it was not the run's fault.
UPDATE schedule_run SET
    next_try_at = CASE WHEN :delay_s > 0 THEN now() + :delay_s * interval '1 second' ELSE '-infinity' END,
    rung_at = NULL, result = coalesce(:result, result),
    lease_token = NULL, lease_until = NULL, attempts = attempts - :uncounted::integer
WHERE id = :id AND lease_token = :lease_token;

-- name: forget_runs(nightly, keep_nights_days, keep_others_days, page)!
-- Remove what was finished long ago, up to a page; the newest run of each job stays.
DELETE FROM schedule_run AS r
WHERE r.id IN (
    SELECT old.id
    FROM schedule_run AS old
    WHERE old.finished_at < now() - interval '1 day' * CASE
            WHEN old.job = ANY (:nightly::text[]) THEN :keep_nights_days ELSE :keep_others_days
        END
        AND EXISTS (SELECT FROM schedule_run AS newer WHERE newer.job = old.job AND newer.id > old.id)
    ORDER BY old.id
    LIMIT :page
);
