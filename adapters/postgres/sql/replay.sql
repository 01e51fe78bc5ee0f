-- Writing balances that differ from their events. Each page is locked, then computed in a new statement, so that it
-- sees whatever was committed before the lock was got, and then written. No page waits while it holds a lock.

-- name: become_the_replay(lock)$
-- Become the one replay until this session ends or steps back, or learn that there is another.
SELECT pg_try_advisory_lock(:lock);

-- name: step_back(lock)$
-- Let another replay begin.
SELECT pg_advisory_unlock(:lock);

-- name: notice_a_dead_client()#
-- Let the server end this session soon after its client was killed, and with it the lock of the one replay.
SET client_connection_check_interval TO '2s';

-- name: look_rows_up()#
-- Find the rows of a page by their keys: reading a whole table for each page looks cheaper to PostgreSQL than it is.
SET enable_seqscan TO off;
SET enable_hashjoin TO off;
SET enable_mergejoin TO off;

-- name: plan_as_usual()#
-- Leave it to PostgreSQL again.
RESET enable_seqscan;
RESET enable_hashjoin;
RESET enable_mergejoin;

-- name: lock_balances(numbers)
-- Lock those of the balances that nobody else has locked, in id order.
SELECT u.number
FROM unlike_balance AS u
JOIN invoice_balance AS b ON b.invoice_id = u.invoice_id
WHERE u.number = ANY (:numbers::integer[]) AND u.writable
ORDER BY b.invoice_id
FOR UPDATE OF b SKIP LOCKED;

-- name: await_balance(number)
-- Lock one balance, and wait for it.
SELECT u.number
FROM unlike_balance AS u
JOIN invoice_balance AS b ON b.invoice_id = u.invoice_id
WHERE u.number = :number AND u.writable
FOR UPDATE OF b;

-- name: write_balances(numbers)!
-- Write what locked balances come to now, where it differs. The sums of the comparison are taken where there are as many
-- events and changes as it saw: counting them reads an index alone, and neither is ever changed or removed.
UPDATE invoice_balance AS b SET
    currency = r.currency,
    due_minor = r.due_minor,
    received_minor = r.received_minor,
    refunded_minor = r.refunded_minor,
    voided_at = r.voided_at,
    payments = r.payments,
    first_paid_at = r.first_paid_at,
    last_paid_at = r.last_paid_at
FROM (
    SELECT u.invoice_id,
        CASE WHEN same.changes THEN u.currency ELSE coalesce(c.currency, u.currency) END AS currency,
        CASE WHEN same.changes THEN u.due_minor ELSE coalesce(c.due_minor, 0) END AS due_minor,
        CASE WHEN same.changes THEN u.voided_at ELSE c.voided_at END AS voided_at,
        CASE WHEN same.events THEN u.received_minor ELSE s.received_minor END AS received_minor,
        CASE WHEN same.events THEN u.refunded_minor ELSE s.refunded_minor END AS refunded_minor,
        CASE WHEN same.events THEN u.payments ELSE s.payments END AS payments,
        CASE WHEN same.events THEN u.first_paid_at ELSE s.first_paid_at END AS first_paid_at,
        CASE WHEN same.events THEN u.last_paid_at ELSE s.last_paid_at END AS last_paid_at
    FROM unlike_balance AS u
    CROSS JOIN LATERAL (
        SELECT u.events = (SELECT count(*) FROM payment_event WHERE invoice_id = u.invoice_id) AS events,
            u.changes = (SELECT count(*) FROM invoice_change WHERE invoice_id = u.invoice_id) AS changes
        OFFSET 0 -- keeps the counts from being made once for each column
    ) AS same
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(CASE kind WHEN 'received' THEN amount_minor WHEN 'assigned' THEN amount_minor
                WHEN 'unassigned' THEN -amount_minor ELSE 0 END), 0) AS received_minor,
            coalesce(sum(CASE kind WHEN 'refunded' THEN amount_minor ELSE 0 END), 0) AS refunded_minor,
            count(*) FILTER (WHERE kind IN ('received', 'assigned')) AS payments,
            min(occurred_at) FILTER (WHERE kind IN ('received', 'assigned')) AS first_paid_at,
            max(occurred_at) FILTER (WHERE kind IN ('received', 'assigned')) AS last_paid_at
        FROM payment_event
        WHERE invoice_id = u.invoice_id AND NOT same.events
    ) AS s
    CROSS JOIN LATERAL (
        SELECT (array_agg(amount_minor ORDER BY position DESC) FILTER (WHERE kind = 'amount'))[1] AS due_minor,
            (array_agg(currency ORDER BY position DESC) FILTER (WHERE kind = 'amount'))[1] AS currency,
            min(changed_at) FILTER (WHERE kind = 'void') AS voided_at
        FROM invoice_change
        WHERE invoice_id = u.invoice_id AND NOT same.changes
    ) AS c
    WHERE u.number = ANY (:numbers::integer[])
) AS r
WHERE b.invoice_id = r.invoice_id
    AND (b.currency, b.due_minor, b.received_minor, b.refunded_minor, b.voided_at, b.payments, b.first_paid_at,
        b.last_paid_at)
    IS DISTINCT FROM
    (r.currency, r.due_minor, r.received_minor, r.refunded_minor, r.voided_at, r.payments, r.first_paid_at,
        r.last_paid_at);

-- name: lock_invoices_without_balance(numbers)
-- Keep events of those invoices away whose balance is missing, as far as nobody else has locked them: the foreign key
-- of an event locks its invoice, and there is no balance to lock.
SELECT u.number
FROM unlike_balance AS u
JOIN invoice AS i ON i.id = u.invoice_id
WHERE u.number = ANY (:numbers::integer[]) AND u.missing AND u.writable
ORDER BY i.id
FOR UPDATE OF i SKIP LOCKED;

-- name: await_invoice_without_balance(number)
-- Keep events of one invoice away whose balance is missing, and wait for it.
SELECT u.number
FROM unlike_balance AS u
JOIN invoice AS i ON i.id = u.invoice_id
WHERE u.number = :number AND u.missing AND u.writable
FOR UPDATE OF i;

-- name: insert_balances(numbers)!
-- Make the missing balances of locked invoices.
INSERT INTO invoice_balance (
    invoice_id, currency, due_minor, received_minor, refunded_minor, voided_at, payments, first_paid_at, last_paid_at
)
SELECT u.invoice_id, c.currency, c.due_minor, s.received_minor, s.refunded_minor, c.voided_at, s.payments,
    s.first_paid_at, s.last_paid_at
FROM unlike_balance AS u
CROSS JOIN LATERAL (
    SELECT coalesce(sum(CASE kind WHEN 'received' THEN amount_minor WHEN 'assigned' THEN amount_minor
            WHEN 'unassigned' THEN -amount_minor ELSE 0 END), 0) AS received_minor,
        coalesce(sum(CASE kind WHEN 'refunded' THEN amount_minor ELSE 0 END), 0) AS refunded_minor,
        count(*) FILTER (WHERE kind IN ('received', 'assigned')) AS payments,
        min(occurred_at) FILTER (WHERE kind IN ('received', 'assigned')) AS first_paid_at,
        max(occurred_at) FILTER (WHERE kind IN ('received', 'assigned')) AS last_paid_at
    FROM payment_event
    WHERE invoice_id = u.invoice_id
) AS s
CROSS JOIN LATERAL (
    SELECT (array_agg(amount_minor ORDER BY position DESC) FILTER (WHERE kind = 'amount'))[1] AS due_minor,
        (array_agg(currency ORDER BY position DESC) FILTER (WHERE kind = 'amount'))[1] AS currency,
        min(changed_at) FILTER (WHERE kind = 'void') AS voided_at
    FROM invoice_change
    WHERE invoice_id = u.invoice_id
) AS c
WHERE u.number = ANY (:numbers::integer[])
ON CONFLICT (invoice_id) DO NOTHING;

-- name: lock_payments(numbers)
-- Lock those of the payments that nobody else has locked, in key order.
SELECT u.number
FROM unlike_payment AS u
JOIN payment AS p ON p.gateway = u.gateway AND p.payment_id = u.payment_id
WHERE u.number = ANY (:numbers::integer[]) AND u.writable
ORDER BY p.gateway, p.payment_id
FOR UPDATE OF p SKIP LOCKED;

-- name: await_payment(number)
-- Lock one payment, and wait for it.
SELECT u.number
FROM unlike_payment AS u
JOIN payment AS p ON p.gateway = u.gateway AND p.payment_id = u.payment_id
WHERE u.number = :number AND u.writable
FOR UPDATE OF p;

-- name: write_payments(numbers)!
-- Write what locked payments come to now, where it differs.
UPDATE payment AS p SET
    invoice_id = r.invoice_id,
    currency = r.currency,
    received_minor = r.received_minor,
    refunded_minor = r.refunded_minor
FROM unlike_payment AS u
CROSS JOIN LATERAL (
    SELECT
        (array_agg(e.invoice_id ORDER BY e.kind = 'assigned' DESC, e.position DESC)
            FILTER (WHERE e.kind IN ('received', 'assigned')))[1] AS invoice_id,
        min(e.currency) AS currency,
        coalesce(sum(e.amount_minor) FILTER (WHERE e.kind = 'received'), 0) AS received_minor,
        coalesce(sum(e.amount_minor) FILTER (WHERE e.kind = 'refunded'), 0) AS refunded_minor
    FROM payment_event AS e
    WHERE e.gateway = u.gateway AND e.payment_id = u.payment_id
    HAVING count(*) > 0
) AS r
WHERE u.number = ANY (:numbers::integer[])
    AND p.gateway = u.gateway AND p.payment_id = u.payment_id
    AND (p.invoice_id, p.currency, p.received_minor, p.refunded_minor)
    IS DISTINCT FROM (r.invoice_id, r.currency, r.received_minor, r.refunded_minor);

-- name: delete_payments(numbers)!
-- Remove locked payments that have no event: with such a row in its way a payment of that id could never be recorded.
DELETE FROM payment AS p
USING unlike_payment AS u
WHERE u.number = ANY (:numbers::integer[]) AND u.surplus
    AND p.gateway = u.gateway AND p.payment_id = u.payment_id
    AND NOT EXISTS (
        SELECT FROM payment_event AS e WHERE e.gateway = u.gateway AND e.payment_id = u.payment_id
    );

-- name: insert_payments(numbers)
-- Make missing payments. Nothing is appended to a payment meanwhile that has no row to lock.
WITH made AS (
    INSERT INTO payment (gateway, payment_id, invoice_id, currency, received_minor, refunded_minor)
    SELECT gateway, payment_id,
        (array_agg(e.invoice_id ORDER BY e.kind = 'assigned' DESC, e.position DESC)
            FILTER (WHERE e.kind IN ('received', 'assigned')))[1],
        min(e.currency),
        coalesce(sum(e.amount_minor) FILTER (WHERE e.kind = 'received'), 0),
        coalesce(sum(e.amount_minor) FILTER (WHERE e.kind = 'refunded'), 0)
    FROM unlike_payment AS u
    JOIN payment_event AS e USING (gateway, payment_id)
    WHERE u.number = ANY (:numbers::integer[]) AND u.missing AND u.writable
    GROUP BY gateway, payment_id
    ORDER BY gateway, payment_id
    ON CONFLICT (gateway, payment_id) DO NOTHING
    RETURNING gateway, payment_id
)
SELECT u.number
FROM made
JOIN unlike_payment AS u USING (gateway, payment_id)
WHERE u.number = ANY (:numbers::integer[]); -- of the page, not each made one among all

-- name: make_suspense(number)!
-- Make a suspense balance that is missing. Whoever adds to it meanwhile waits for this transaction.
INSERT INTO suspense_balance (gateway, currency)
SELECT gateway, currency
FROM unlike_suspense
WHERE number = :number AND writable
ON CONFLICT (gateway, currency) DO NOTHING;

-- name: await_suspense(number)
-- Lock one suspense balance, and wait for it.
SELECT u.number
FROM unlike_suspense AS u
JOIN suspense_balance AS b ON b.gateway = u.gateway AND b.currency = u.currency
WHERE u.number = :number AND u.writable
FOR UPDATE OF b;

-- name: write_suspense(number)!
-- Write what a locked suspense balance comes to now. An append adds to the row that it finds when it gets the lock, so
-- what is not committed yet comes on top of this.
UPDATE suspense_balance AS b SET
    received_minor = r.received_minor,
    refunded_minor = r.refunded_minor
FROM unlike_suspense AS u
CROSS JOIN LATERAL (
    SELECT coalesce(sum(CASE kind WHEN 'received' THEN amount_minor WHEN 'assigned' THEN amount_minor
            WHEN 'unassigned' THEN -amount_minor ELSE 0 END), 0) AS received_minor,
        coalesce(sum(CASE kind WHEN 'refunded' THEN amount_minor ELSE 0 END), 0) AS refunded_minor
    FROM payment_event AS e
    WHERE e.invoice_id IS NULL AND e.gateway = u.gateway AND e.currency = u.currency
) AS r
WHERE u.number = :number
    AND b.gateway = u.gateway AND b.currency = u.currency
    AND (b.received_minor, b.refunded_minor) IS DISTINCT FROM (r.received_minor, r.refunded_minor);
