-- Notifications: what the merchant's application is to be told. Leases and waits use PostgreSQL's clock.

-- name: claim_next(invoice_id, id, lease_token, lease_s, retry_base_s, retry_max_s, wait_max_s, pause_max_s)^
-- Take the first of an invoice that is not told yet, or one of no invoice, if it is due and free, and nobody asked for a
-- pause. The first alone: the later ones of the invoice wait for it. A holder who dies makes the next try wait longer. A
-- wait or a lease that is too long was written by a clock that has been set back since; of leases, one that is a little
-- too long, by somebody whose transaction began after this one and was faster: hence the minute.
UPDATE notification AS n SET
    lease_token = :lease_token,
    lease_until = now() + :lease_s * interval '1 second',
    attempts = n.attempts + 1,
    first_tried_at = coalesce(n.first_tried_at, now()),
    next_try_at = now() + greatest(:lease_s, least(:retry_max_s, :retry_base_s * power(2, least(n.attempts, 60))))
        * interval '1 second'
WHERE n.id = CASE
        WHEN :invoice_id::text IS NULL THEN :id::bigint
        ELSE (
            SELECT h.id
            FROM notification AS h
            WHERE h.invoice_id = :invoice_id AND h.state = 'pending'
            ORDER BY h.sequence
            LIMIT 1
        )
    END
    AND n.state = 'pending'
    AND (n.next_try_at <= now() OR n.next_try_at > now() + :wait_max_s * interval '1 second')
    AND (
        n.lease_until IS NULL OR n.lease_until <= now()
        OR n.lease_until > now() + :lease_s * interval '1 second' + interval '1 minute'
    )
    AND NOT EXISTS (
        SELECT FROM notification AS other
        WHERE other.invoice_id = n.invoice_id AND other.state = 'pending' AND other.id <> n.id
            AND other.lease_until > now()
    )
    AND NOT EXISTS (
        SELECT FROM notification_pause
        WHERE until > now() AND until <= now() + :pause_max_s * interval '1 second' + interval '1 minute'
    )
RETURNING n.id, n.message_id, n.invoice_id, n.sequence, n.type, n.data, n.staged_at, n.attempts,
    extract(epoch FROM now() - n.first_tried_at)::float8 AS tried_for_s;

-- name: end_try(id, lease_token, state, status, error)$
-- Write that a notification is delivered or parked, if the lease is still its holder's, and let the invoice's next be due.
-- Count what was written.
WITH ended AS (
    UPDATE notification SET
        state = :state,
        ended_at = now(),
        last_status = :status,
        last_error = :error,
        lease_token = NULL,
        lease_until = NULL,
        rung_at = NULL
    WHERE id = :id AND lease_token = :lease_token
    RETURNING invoice_id, sequence
),
next AS (
    UPDATE notification SET next_try_at = now(), rung_at = NULL
    WHERE attempts = 0 AND id = (
        SELECT n.id
        FROM notification AS n
        JOIN ended USING (invoice_id)
        WHERE n.state = 'pending' AND n.sequence > ended.sequence
        ORDER BY n.sequence
        LIMIT 1
    )
)
SELECT count(*) FROM ended;

-- name: fail_try(id, lease_token, delay_s, status, error)!
-- Write that a try failed and when the next one is, if the lease is still its holder's.
UPDATE notification SET
    next_try_at = now() + :delay_s * interval '1 second',
    last_status = :status,
    last_error = :error,
    lease_token = NULL,
    lease_until = NULL,
    rung_at = NULL
WHERE id = :id AND lease_token = :lease_token;

-- name: release_try(id, lease_token)!
-- Let another try at once, as if this one had not been begun, if the lease is still its holder's.
UPDATE notification SET
    attempts = attempts - 1,
    first_tried_at = CASE WHEN attempts > 1 THEN first_tried_at END,
    next_try_at = now(),
    lease_token = NULL,
    lease_until = NULL,
    rung_at = NULL
WHERE id = :id AND lease_token = :lease_token;

-- name: pause(pause_s)!
-- Deliver nothing for a while.
INSERT INTO notification_pause AS p (until)
VALUES (now() + :pause_s * interval '1 second')
ON CONFLICT (only_row) DO UPDATE SET until = excluded.until;

-- name: ring_due(page, ring_again_s, lease_s, wait_max_s, pause_max_s)
-- Take note that a worker is woken now for up to a page of what is due, longest overdue first: of each invoice the first
-- alone.
WITH due AS (
    SELECT n.id
    FROM notification AS n
    WHERE n.state = 'pending'
        AND (n.next_try_at <= now() OR n.next_try_at > now() + :wait_max_s * interval '1 second')
        AND (
            n.lease_until IS NULL OR n.lease_until <= now()
            OR n.lease_until > now() + :lease_s * interval '1 second' + interval '1 minute'
        )
        AND (n.rung_at IS NULL OR n.rung_at <= now() - :ring_again_s * interval '1 second' OR n.rung_at > now())
        AND NOT EXISTS (
            SELECT FROM notification AS earlier
            WHERE earlier.invoice_id = n.invoice_id AND earlier.state = 'pending' AND earlier.sequence < n.sequence
        )
        AND NOT EXISTS (
            SELECT FROM notification_pause
            WHERE until > now() AND until <= now() + :pause_max_s * interval '1 second' + interval '1 minute'
        )
    ORDER BY n.next_try_at
    LIMIT :page
    FOR UPDATE SKIP LOCKED
)
UPDATE notification AS n SET rung_at = now()
FROM due
WHERE n.id = due.id
RETURNING n.id, n.invoice_id;

-- name: leave_unsent(give_up_after_s, page)!
-- Leave up to a page alone whose turn came long ago and that nobody has tried: there was nobody to be told. What waits
-- behind one that is tried, or is next, has not had its turn.
UPDATE notification SET state = 'unsent', ended_at = now()
WHERE id IN (
    SELECT n.id
    FROM notification AS n
    WHERE n.state = 'pending' AND n.attempts = 0
        AND n.next_try_at <= now() - :give_up_after_s * interval '1 second'
        AND NOT EXISTS (
            SELECT FROM notification AS earlier
            WHERE earlier.invoice_id = n.invoice_id AND earlier.state = 'pending' AND earlier.sequence < n.sequence
                AND (
                    earlier.attempts > 0 OR earlier.next_try_at > now() - :give_up_after_s * interval '1 second'
                )
        )
    ORDER BY n.next_try_at
    LIMIT :page
    FOR UPDATE SKIP LOCKED
);

-- name: park_overdue(give_up_after_s, page)!
-- Park up to a page that was to be given up an hour ago and whose holders die instead.
UPDATE notification SET
    state = 'parked', ended_at = now(), lease_token = NULL, lease_until = NULL,
    last_error = 'workers began to deliver it and did not come back'
WHERE id IN (
    SELECT id
    FROM notification
    WHERE state = 'pending' AND lease_until <= now()
        AND first_tried_at <= now() - :give_up_after_s * interval '1 second' - interval '1 hour'
    LIMIT :page
    FOR UPDATE SKIP LOCKED
);

-- name: list_notifications(states, invoice_id, after, page)
-- Read notifications in these states, of one invoice where one is named, after an id, in the order of being staged.
SELECT id, message_id, invoice_id, sequence, type, data, staged_at, state, attempts, next_try_at, first_tried_at,
    ended_at, last_status, last_error
FROM notification
WHERE state = ANY (:states::text[]) AND (:invoice_id::text IS NULL OR invoice_id = :invoice_id) AND id > :after
ORDER BY id
LIMIT :page;

-- name: read_notification(id)^
-- Read one notification.
SELECT id, message_id, invoice_id, sequence, type, data, staged_at, state, attempts, next_try_at, first_tried_at,
    ended_at, last_status, last_error
FROM notification
WHERE id = :id;

-- name: resend(ids)!
-- Let notifications be tried from the start, now, whatever became of them; one that is being delivered is left alone.
UPDATE notification SET
    state = 'pending', ended_at = NULL, attempts = 0, first_tried_at = NULL, next_try_at = now(), rung_at = NULL,
    lease_token = NULL, lease_until = NULL
WHERE id = ANY (:ids::bigint[]) AND (lease_until IS NULL OR lease_until <= now());

-- name: resend_page(state, since, page)!
-- Likewise with up to a page of those in one state that were staged since a time.
UPDATE notification SET
    state = 'pending', ended_at = NULL, attempts = 0, first_tried_at = NULL, next_try_at = now(), rung_at = NULL,
    lease_token = NULL, lease_until = NULL
WHERE id IN (
    SELECT id
    FROM notification
    WHERE state = :state AND (:since::timestamptz IS NULL OR staged_at >= :since)
    ORDER BY id
    LIMIT :page
    FOR UPDATE SKIP LOCKED
);

-- name: remove_page(after, days, page)^
-- Remove, of the next page of ids, what was delivered or left unsent long ago; but not the last of an invoice, from which
-- the next counts on. Tells the last id that was looked at, and how many were removed.
WITH old AS MATERIALIZED (
    SELECT id, invoice_id, sequence, state
    FROM notification
    WHERE id > :after AND staged_at < now() - :days * interval '1 day'
    ORDER BY id
    LIMIT :page
),
removed AS (
    DELETE FROM notification AS n
    USING old
    WHERE n.id = old.id AND n.state IN ('delivered', 'unsent')
        AND n.ended_at < now() - :days * interval '1 day'
        AND (
            n.invoice_id IS NULL
            OR EXISTS (
                SELECT FROM notification AS later WHERE later.invoice_id = n.invoice_id AND later.sequence > n.sequence
            )
        )
    RETURNING n.id
)
SELECT (SELECT max(id) FROM old) AS last_id, (SELECT count(*) FROM removed) AS removed;
