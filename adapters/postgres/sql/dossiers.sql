-- Dossiers: all that is recorded about an invoice, a QR or a payment, read in one snapshot.

-- name: begin_snapshot#
-- Let the transaction see one moment, and write nothing.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- name: find_subjects(text, id, gateway, payment_id)
-- Find what a text can name, best first: an invoice, a QR (by our id, the gateway's, or its number there), or a payment
-- (by its id, or with its gateway before it). Gateways are few: each is looked up in the indexes that begin with it.
WITH RECURSIVE issuers AS (
    (SELECT gateway FROM gateway_invoice ORDER BY gateway LIMIT 1)
    UNION ALL
    SELECT (SELECT g.gateway FROM gateway_invoice AS g WHERE g.gateway > i.gateway ORDER BY g.gateway LIMIT 1)
    FROM issuers AS i
    WHERE i.gateway IS NOT NULL
),
payers AS (
    (SELECT gateway FROM payment ORDER BY gateway LIMIT 1)
    UNION ALL
    SELECT (SELECT q.gateway FROM payment AS q WHERE q.gateway > p.gateway ORDER BY q.gateway LIMIT 1)
    FROM payers AS p
    WHERE p.gateway IS NOT NULL
),
found AS (
    SELECT 1 AS rank, 'invoice' AS kind, id AS invoice_id, NULL::uuid AS gateway_invoice_id, NULL::text AS gateway,
        NULL::text AS payment_id
    FROM invoice
    WHERE id = :text
    UNION
    SELECT 2, 'qr', invoice_id, id, NULL, NULL
    FROM gateway_invoice
    WHERE id = :id::uuid
    UNION
    SELECT 2, 'qr', g.invoice_id, g.id, NULL, NULL
    FROM issuers AS i
    JOIN gateway_invoice AS g ON g.gateway = i.gateway AND g.external_id = :text
    UNION
    SELECT 2, 'qr', g.invoice_id, g.id, NULL, NULL
    FROM issuers AS i
    JOIN gateway_invoice AS g ON g.gateway = i.gateway AND g.number = :text AND g.number <> g.invoice_id
    UNION
    SELECT 3, 'payment', NULL, NULL, p.gateway, p.payment_id
    FROM payment AS p
    WHERE p.gateway = :gateway AND p.payment_id = :payment_id
    UNION
    SELECT 3, 'payment', NULL, NULL, p.gateway, p.payment_id
    FROM payers AS q
    JOIN payment AS p ON p.gateway = q.gateway AND p.payment_id = :text
)
SELECT kind, invoice_id, gateway_invoice_id, gateway, payment_id
FROM found
ORDER BY rank, gateway, payment_id, gateway_invoice_id;

-- name: places_of_payment(gateway, payment_id)
-- Read which invoices and QRs the events of a payment name.
SELECT DISTINCT invoice_id, gateway_invoice_id
FROM payment_event
WHERE gateway = :gateway AND payment_id = :payment_id;

-- name: read_invoices(invoice_ids)
-- Read invoices with their projected balances.
SELECT i.id, i.description, i.due_at, i.created_at, b.currency, b.due_minor, b.received_minor, b.refunded_minor,
    b.voided_at, b.payments, b.first_paid_at, b.last_paid_at
FROM invoice AS i
JOIN invoice_balance AS b ON b.invoice_id = i.id
WHERE i.id = ANY (:invoice_ids::text[])
ORDER BY i.id;

-- name: read_changes(invoice_ids)
-- Read all changes of invoices.
SELECT position, invoice_id, kind, amount_minor, currency, reason, who, changed_at
FROM invoice_change
WHERE invoice_id = ANY (:invoice_ids::text[])
ORDER BY position;

-- name: read_qrs(invoice_ids, ids)
-- Read the QRs of invoices, or single ones.
SELECT id, invoice_id, gateway, generation, number, external_id, amount_minor, currency, state, kept_open, issued_at,
    opened_at, closing_at, ended_at, expires_at, failure_code, last_error
FROM gateway_invoice
WHERE invoice_id = ANY (:invoice_ids::text[]) OR id = ANY (:ids::uuid[])
ORDER BY invoice_id, gateway, generation;

-- name: read_callbacks(ids)
-- Read how often the callbacks of QRs came.
SELECT gateway_invoice_id, first_at, last_at, count, announced
FROM callback
WHERE gateway_invoice_id = ANY (:ids::uuid[])
ORDER BY first_at;

-- name: count_checks(ids)$
-- Count the checks of QRs.
SELECT count(*)
FROM gateway_check
WHERE gateway_invoice_id = ANY (:ids::uuid[]);

-- name: read_checks(ids, page, lease_s)
-- Read the newest checks of QRs, newest first. One without an outcome is running as long as its lease can be.
SELECT id, gateway_invoice_id, started_at, cause, gateway_invoice_state, requests, attempt, awaited_since, duration_ms,
    seen_at, answer_rows, answer, new_events, new_discrepancies, error,
    CASE
        WHEN outcome IS NOT NULL THEN outcome
        WHEN started_at > now() - :lease_s * interval '1 second' THEN 'running'
        ELSE 'never_finished'
    END AS outcome
FROM gateway_check
WHERE gateway_invoice_id = ANY (:ids::uuid[])
ORDER BY id DESC
LIMIT :page;

-- name: read_events(invoice_ids, gateway, payment_id)
-- Read all events of invoices, and all of one payment; of a gateway's row only a person's reason is read.
SELECT e.position, e.gateway, e.payment_id, e.kind, e.ref, e.invoice_id, e.gateway_invoice_id, e.amount_minor, e.currency,
    e.fee_minor, e.occurred_at, e.occurred_at_source, e.recorded_at, e.source, e.who,
    CASE WHEN e.who IS NOT NULL THEN e.raw ->> 'reason' END AS reason,
    o.position IS NOT NULL AS moved, o.invoice_id AS other_invoice_id
FROM payment_event AS e
LEFT JOIN payment_event AS o ON o.gateway = e.gateway AND o.payment_id = e.payment_id AND o.ref = e.ref
    AND o.kind = CASE e.kind WHEN 'assigned' THEN 'unassigned' WHEN 'unassigned' THEN 'assigned' END
WHERE e.invoice_id = ANY (:invoice_ids::text[]) OR (e.gateway = :gateway AND e.payment_id = :payment_id)
ORDER BY e.position;

-- name: count_discrepancies(invoice_ids, gateways, payment_ids)$
-- Count the questions about invoices and payments.
SELECT count(*)
FROM discrepancy
WHERE id IN (
    SELECT id FROM discrepancy WHERE invoice_id = ANY (:invoice_ids::text[])
    UNION
    SELECT d.id
    FROM unnest(:gateways::text[], :payment_ids::text[]) AS k (gateway, payment_id)
    JOIN discrepancy AS d USING (gateway, payment_id)
);

-- name: read_discrepancies(invoice_ids, gateways, payment_ids, page)
-- Read the newest questions about invoices and payments, newest first.
SELECT id, kind, gateway, invoice_id, payment_id, detail, state, seen, first_seen_at, last_seen_at, resolved_at,
    resolved_by, resolution
FROM discrepancy
WHERE id IN (
    SELECT id FROM discrepancy WHERE invoice_id = ANY (:invoice_ids::text[])
    UNION
    SELECT d.id
    FROM unnest(:gateways::text[], :payment_ids::text[]) AS k (gateway, payment_id)
    JOIN discrepancy AS d USING (gateway, payment_id)
)
ORDER BY id DESC
LIMIT :page;

-- name: read_notifications(invoice_ids)
-- Read what was staged to be told about invoices.
SELECT sequence, type, staged_at
FROM notification
WHERE invoice_id = ANY (:invoice_ids::text[])
ORDER BY invoice_id, sequence;
