-- The ledger: events are appended, and what was really inserted is added to the balances.

-- name: lock_balances(invoice_ids)
-- Lock balances in id order, so that appends in opposite orders wait for each other instead of deadlocking.
SELECT invoice_id
FROM invoice_balance
WHERE invoice_id = ANY (:invoice_ids::text[])
ORDER BY invoice_id
FOR UPDATE;

-- name: append_events(gateways, payment_ids, kinds, refs, invoice_ids, gateway_invoice_ids, amounts_minor, currencies, fees_minor, occurred_ats, occurred_at_sources, recorded_at, sources, raws, whos)
-- Insert events in key order and add those that were not known to the balances of their invoices.
WITH given AS (
    SELECT *
    FROM unnest(
        :gateways::text[], :payment_ids::text[], :kinds::text[], :refs::text[], :invoice_ids::text[],
        :gateway_invoice_ids::uuid[], :amounts_minor::bigint[], :currencies::text[], :fees_minor::bigint[],
        :occurred_ats::timestamptz[], :occurred_at_sources::text[], :sources::text[], :raws::text[], :whos::text[]
    ) AS e (
        gateway, payment_id, kind, ref, invoice_id, gateway_invoice_id, amount_minor, currency, fee_minor,
        occurred_at, occurred_at_source, source, raw, who
    )
),
inserted AS (
    INSERT INTO payment_event (
        gateway, payment_id, kind, ref, invoice_id, gateway_invoice_id, amount_minor, currency, fee_minor,
        occurred_at, occurred_at_source, recorded_at, source, raw, who
    )
    SELECT
        gateway, payment_id, kind, ref, invoice_id, gateway_invoice_id, amount_minor, currency, fee_minor,
        occurred_at, occurred_at_source, :recorded_at, source, raw::jsonb, who
    FROM given
    ORDER BY gateway COLLATE "C", payment_id COLLATE "C", kind COLLATE "C", ref COLLATE "C"
    ON CONFLICT (gateway, payment_id, kind, ref) DO NOTHING
    RETURNING gateway, payment_id, kind, ref, invoice_id, amount_minor, occurred_at
),
delta AS (
    SELECT invoice_id,
        sum(CASE kind WHEN 'received' THEN amount_minor WHEN 'assigned' THEN amount_minor
            WHEN 'unassigned' THEN -amount_minor ELSE 0 END) AS received_minor,
        sum(CASE kind WHEN 'refunded' THEN amount_minor ELSE 0 END) AS refunded_minor,
        count(*) FILTER (WHERE kind = 'received') AS payments,
        min(occurred_at) FILTER (WHERE kind = 'received') AS first_paid_at,
        max(occurred_at) FILTER (WHERE kind = 'received') AS last_paid_at
    FROM inserted
    WHERE invoice_id IS NOT NULL
    GROUP BY invoice_id
),
projected AS (
    UPDATE invoice_balance AS b SET
        received_minor = b.received_minor + delta.received_minor,
        refunded_minor = b.refunded_minor + delta.refunded_minor,
        payments = b.payments + delta.payments,
        first_paid_at = least(b.first_paid_at, delta.first_paid_at),
        last_paid_at = greatest(b.last_paid_at, delta.last_paid_at)
    FROM delta
    WHERE b.invoice_id = delta.invoice_id
    RETURNING b.invoice_id
)
SELECT gateway, payment_id, kind, ref
FROM inserted;

-- name: stored_events(gateways, payment_ids, kinds, refs)
-- Read what is stored under the given keys.
SELECT e.gateway, e.payment_id, e.kind, e.ref, e.invoice_id, e.amount_minor, e.currency
FROM unnest(:gateways::text[], :payment_ids::text[], :kinds::text[], :refs::text[]) AS k (gateway, payment_id, kind, ref)
JOIN payment_event AS e USING (gateway, payment_id, kind, ref);

-- name: move_paid_gateway_invoices(invoice_ids)!
-- Settle QRs whose own amount has been paid on them; close the other open QRs of invoices with nothing outstanding.
WITH paid AS (
    SELECT g.id, b.outstanding_minor,
        (
            SELECT coalesce(sum(e.amount_minor), 0)
            FROM payment_event AS e
            WHERE e.invoice_id = g.invoice_id AND e.gateway_invoice_id = g.id AND e.kind = 'received'
        ) AS paid_minor
    FROM gateway_invoice AS g
    JOIN invoice_balance AS b ON b.invoice_id = g.invoice_id
    WHERE g.invoice_id = ANY (:invoice_ids::text[]) AND g.state IN ('open', 'closing')
)
UPDATE gateway_invoice AS g SET
    state = CASE WHEN paid.paid_minor >= g.amount_minor THEN 'settled' ELSE 'closing' END
FROM paid
WHERE g.id = paid.id
    AND (paid.paid_minor >= g.amount_minor OR (paid.outstanding_minor = 0 AND g.state = 'open'));

-- name: balances_unlike_events()
-- Compare every balance with the sum of its changes and events; a row for each invoice that differs.
WITH summed AS (
    SELECT invoice_id,
        sum(CASE kind WHEN 'received' THEN amount_minor WHEN 'assigned' THEN amount_minor
            WHEN 'unassigned' THEN -amount_minor ELSE 0 END) AS received_minor,
        sum(CASE kind WHEN 'refunded' THEN amount_minor ELSE 0 END) AS refunded_minor,
        count(*) FILTER (WHERE kind = 'received') AS payments
    FROM payment_event
    WHERE invoice_id IS NOT NULL
    GROUP BY invoice_id
),
asked AS (
    SELECT DISTINCT ON (invoice_id) invoice_id, amount_minor AS due_minor
    FROM invoice_change
    WHERE kind = 'amount'
    ORDER BY invoice_id, position DESC
)
SELECT b.invoice_id
FROM invoice_balance AS b
LEFT JOIN summed AS s USING (invoice_id)
LEFT JOIN asked AS a USING (invoice_id)
WHERE (b.due_minor, b.received_minor, b.refunded_minor, b.payments) IS DISTINCT FROM
    (a.due_minor, coalesce(s.received_minor, 0), coalesce(s.refunded_minor, 0), coalesce(s.payments, 0))
ORDER BY b.invoice_id;

-- name: events_page(invoice_id, gateway, occurred_from, occurred_to, unmatched, after, page)
-- Read events in the order of their positions, after a position.
SELECT position, gateway, payment_id, kind, invoice_id, amount_minor, currency, fee_minor,
    occurred_at, occurred_at_source, recorded_at, source
FROM payment_event
WHERE position > :after
    AND (:invoice_id::text IS NULL OR invoice_id = :invoice_id)
    AND (:gateway::text IS NULL OR gateway = :gateway)
    AND (:occurred_from::timestamptz IS NULL OR occurred_at >= :occurred_from)
    AND (:occurred_to::timestamptz IS NULL OR occurred_at < :occurred_to)
    AND (NOT :unmatched OR invoice_id IS NULL)
ORDER BY position
LIMIT :page;
