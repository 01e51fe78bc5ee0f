-- Discoveries: what a gateway's list was asked for, and what it showed that is not on an invoice.

-- name: first_issued(gateway)$
-- Read when the first QR of a gateway was meant: no payment of ours can be older. It is looked for once, and remembered.
WITH known AS (
    SELECT first_at FROM listed_since WHERE gateway = :gateway
),
found AS (
    INSERT INTO listed_since (gateway, first_at)
    SELECT :gateway, min(issued_at)
    FROM gateway_invoice
    WHERE gateway = :gateway AND NOT EXISTS (SELECT FROM known)
    HAVING min(issued_at) IS NOT NULL
    ON CONFLICT (gateway) DO NOTHING
    RETURNING first_at
)
SELECT first_at FROM known
UNION ALL
SELECT first_at FROM found;

-- name: read_windows(gateway, since)
-- Read what was asked for, from the window on that begins at "since".
SELECT begins_at, asked_at, question, total
FROM listed_window
WHERE gateway = :gateway AND begins_at >= :since;

-- name: note_asked(gateway, windows, asked_at, question, total)!
-- Write that windows were asked for, now that all that they showed is committed.
INSERT INTO listed_window AS w (gateway, begins_at, asked_at, question, total)
SELECT :gateway, begins_at, :asked_at, :question, :total
FROM unnest(:windows::timestamptz[]) AS asked (begins_at)
ORDER BY begins_at
ON CONFLICT (gateway, begins_at) DO UPDATE SET
    asked_at = excluded.asked_at, question = excluded.question, total = excluded.total;

-- name: note_found(gateway, found, now)$
-- Write down which of the payments of a page are to be followed, and return how many were not before: those that are on no
-- invoice and no QR of ours, and of those in suspense the ones that lead to a QR of ours. One that was filed is followed
-- anew where it leads to a QR now, and one that was no money where it is called something else.
WITH told AS (
    SELECT DISTINCT ON (payment_id) payment_id, status, external_id, qr_text
    FROM jsonb_to_recordset(:found::jsonb) AS told (payment_id text, status text, external_id text, qr_text text)
    ORDER BY payment_id
),
noted AS (
    INSERT INTO found_payment AS f (
        gateway, payment_id, first_found_at, last_found_at, status, external_id, qr_text
    )
    SELECT :gateway, t.payment_id, :now, :now, t.status, t.external_id, t.qr_text
    FROM told AS t
    LEFT JOIN payment AS p ON p.gateway = :gateway AND p.payment_id = t.payment_id
    WHERE p.payment_id IS NULL
        OR p.invoice_id IS NULL
        AND NOT EXISTS (
            SELECT FROM payment_event AS e
            WHERE e.gateway = :gateway AND e.payment_id = t.payment_id AND e.gateway_invoice_id IS NOT NULL
        )
        AND EXISTS (SELECT FROM find_ties(:gateway, ARRAY[t.external_id], ARRAY[t.qr_text]))
    ORDER BY t.payment_id COLLATE "C"
    ON CONFLICT (gateway, payment_id) DO UPDATE SET
        last_found_at = greatest(f.last_found_at, excluded.last_found_at),
        external_id = coalesce(f.external_id, excluded.external_id),
        qr_text = coalesce(f.qr_text, excluded.qr_text),
        status = excluded.status,
        rung = CASE WHEN f.outcome = 'suspense' OR f.outcome = 'no_money' AND f.status <> excluded.status THEN '{}' ELSE f.rung END,
        rung_at = CASE WHEN f.outcome = 'suspense' OR f.outcome = 'no_money' AND f.status <> excluded.status THEN NULL ELSE f.rung_at END,
        looked_up_at = CASE WHEN f.outcome = 'suspense' OR f.outcome = 'no_money' AND f.status <> excluded.status THEN NULL ELSE f.looked_up_at END,
        ended_at = CASE WHEN f.outcome = 'suspense' OR f.outcome = 'no_money' AND f.status <> excluded.status THEN NULL ELSE f.ended_at END,
        outcome = CASE WHEN f.outcome = 'suspense' OR f.outcome = 'no_money' AND f.status <> excluded.status THEN NULL ELSE f.outcome END
    RETURNING f.xmax = 0 AS is_new
)
SELECT count(*) FILTER (WHERE is_new) FROM noted;

-- name: forget_settled(gateway)!
-- Remove the followed payments of which an event names an invoice or a QR: they have come to where they belong.
DELETE FROM found_payment AS f
WHERE f.gateway = :gateway AND f.ended_at IS NULL
    AND EXISTS (
        SELECT FROM payment_event AS e
        WHERE e.gateway = f.gateway AND e.payment_id = f.payment_id
            AND (e.invoice_id IS NOT NULL OR e.gateway_invoice_id IS NOT NULL)
    );

-- name: read_followed(gateway, after, page, forgotten_after_s)
-- Read up to a page of the payments that are followed, by id, with what became of the check that was last asked for. One
-- that nobody asked for, although it was noted so long ago, was forgotten by somebody who died. A check is answered in
-- the transaction that records what it proved, so an answered one whose payment is not in an event did not show it.
SELECT f.payment_id, f.first_found_at, f.external_id, f.qr_text, f.rung, f.looked_up_at IS NOT NULL AS looked_up,
    coalesce(f.next_look_at <= now(), true) AS may_be_looked_up,
    CASE
        WHEN g.id IS NULL THEN 'none'
        WHEN g.requested > g.served THEN 'due'
        WHEN g.checked_at >= f.rung_at THEN 'answered'
        WHEN f.rung_at BETWEEN now() - :forgotten_after_s * interval '1 second' AND now() THEN 'due'
        ELSE 'forgotten'
    END AS check_state
FROM found_payment AS f
LEFT JOIN gateway_invoice AS g ON g.id = f.rung[cardinality(f.rung)]
WHERE f.gateway = :gateway AND f.ended_at IS NULL AND f.payment_id > :after
    AND NOT EXISTS (
        SELECT FROM payment_event AS e
        WHERE e.gateway = f.gateway AND e.payment_id = f.payment_id
            AND (e.invoice_id IS NOT NULL OR e.gateway_invoice_id IS NOT NULL)
    )
ORDER BY f.payment_id
LIMIT :page;

-- name: note_rung(gateway, payment_id, gateway_invoice_id, before)$
-- Write that a check of a QR is about to be asked for because of a payment, if nobody else has since, and no check has
-- recorded it; tell whether one is due already, which will do.
UPDATE found_payment AS f SET
    rung = array_append(f.rung, g.id),
    rung_at = now()
FROM gateway_invoice AS g
WHERE g.id = :gateway_invoice_id AND f.gateway = :gateway AND f.payment_id = :payment_id AND f.ended_at IS NULL
    AND f.rung = :before::uuid[]
    AND NOT EXISTS (
        SELECT FROM payment_event AS e
        WHERE e.gateway = f.gateway AND e.payment_id = f.payment_id
            AND (e.invoice_id IS NOT NULL OR e.gateway_invoice_id IS NOT NULL)
    )
RETURNING g.requested > g.served;

-- name: note_looked_up(gateway, payment_id, external_id, qr_text)!
-- Write that a payment was looked up, and what its answer tells of where it is.
UPDATE found_payment SET
    looked_up_at = now(),
    look_failures = 0,
    next_look_at = NULL,
    external_id = coalesce(:external_id, external_id),
    qr_text = coalesce(:qr_text, qr_text)
WHERE gateway = :gateway AND payment_id = :payment_id AND ended_at IS NULL;

-- name: note_not_told(gateway, payment_id, wait_s, wait_max_s)!
-- Write that the gateway gave no answer about a payment: it is asked for again later and later.
UPDATE found_payment SET
    look_failures = look_failures + 1,
    next_look_at = now() + least(:wait_max_s, :wait_s * power(2, least(look_failures, 30))) * interval '1 second'
WHERE gateway = :gateway AND payment_id = :payment_id AND ended_at IS NULL;

-- name: note_ended(gateway, payment_id, outcome)!
-- Write that a payment is followed no more.
UPDATE found_payment SET ended_at = now(), outcome = :outcome
WHERE gateway = :gateway AND payment_id = :payment_id AND ended_at IS NULL;

-- name: find_ignored(gateway, payment_ids)
-- Find those of a gateway's payments that were followed and turned out to be of no QR of ours.
SELECT payment_id
FROM found_payment
WHERE gateway = :gateway AND payment_id = ANY (:payment_ids::text[]) AND outcome = 'ignored';

-- name: forget_found(keep_days, keep_windows_days, page)^
-- Remove up to a page each of ended payments that no list has shown for long, and of windows that nobody needs any more.
WITH payments AS (
    DELETE FROM found_payment
    WHERE ctid = ANY (ARRAY(
        SELECT ctid
        FROM found_payment
        WHERE ended_at < now() - :keep_days * interval '1 day'
            AND last_found_at < now() - :keep_days * interval '1 day'
        LIMIT :page
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
),
windows AS (
    DELETE FROM listed_window
    WHERE ctid = ANY (ARRAY(
        SELECT ctid
        FROM listed_window
        WHERE begins_at < now() - :keep_windows_days * interval '1 day'
        LIMIT :page
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT (SELECT count(*) FROM payments) AS payments, (SELECT count(*) FROM windows) AS windows;

-- name: found_by_day(since, until, zone)
-- Count by gateway, day in a zone and source which of the payments that gateways proved were recorded in [since, until).
SELECT gateway, (recorded_at AT TIME ZONE :zone)::date AS day, source, count(*) AS payments
FROM payment_event
WHERE recorded_at >= :since AND recorded_at < :until
    AND kind = 'received' AND ref = 'gateway' AND source IN ('callback', 'sweep', 'refresh', 'command')
GROUP BY gateway, day, source
ORDER BY day, gateway, source;
