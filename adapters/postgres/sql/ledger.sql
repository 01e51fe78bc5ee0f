-- The ledger: events are appended, and what was really inserted is added to the balances.

-- name: lock_invoices(invoice_ids)
-- Lock balances in id order, so that appends in opposite orders wait for each other instead of deadlocking.
SELECT invoice_id, currency, due_minor, net_minor, voided_at IS NOT NULL AS voided, payments
FROM invoice_balance
WHERE invoice_id = ANY (:invoice_ids::text[])
ORDER BY invoice_id
FOR UPDATE;

-- name: routes_of_invoices(invoice_ids)
-- Read by which gateways and QRs invoices have received money. Not a part of the query above: that sees the events of
-- before it waited for its locks.
SELECT DISTINCT invoice_id, gateway, gateway_invoice_id
FROM payment_event
WHERE invoice_id = ANY (:invoice_ids::text[]) AND kind = 'received';

-- name: lock_payments(gateways, payment_ids, invoice_ids, gateway_invoice_ids)
-- Lock the given payments, and those that were received on the given QRs of the given invoices, in key order.
SELECT p.gateway, p.payment_id
FROM payment AS p
WHERE (p.gateway, p.payment_id) IN (
    SELECT gateway, payment_id FROM unnest(:gateways::text[], :payment_ids::text[]) AS k (gateway, payment_id)
    UNION
    SELECT e.gateway, e.payment_id
    FROM payment_event AS e
    WHERE e.invoice_id = ANY (:invoice_ids::text[])
        AND e.gateway_invoice_id = ANY (:gateway_invoice_ids::uuid[])
        AND e.kind = 'received'
)
ORDER BY p.gateway, p.payment_id
FOR UPDATE;

-- name: events_of_payments(gateways, payment_ids)
-- Read what is recorded of payments, in the order in which it was inserted.
SELECT e.gateway, e.payment_id, e.kind, e.ref, e.invoice_id, e.gateway_invoice_id, e.amount_minor, e.currency
FROM unnest(:gateways::text[], :payment_ids::text[]) AS k (gateway, payment_id)
JOIN payment_event AS e USING (gateway, payment_id)
ORDER BY e.position;

-- name: append_events(events, recorded_at)
-- Insert events, one JSON array of them, in key order, and add them to the balances, payments and suspense.
WITH inserted AS (
    INSERT INTO payment_event (
        gateway, payment_id, kind, ref, invoice_id, gateway_invoice_id, amount_minor, currency, fee_minor,
        occurred_at, occurred_at_source, recorded_at, source, raw, who
    )
    SELECT
        gateway, payment_id, kind, ref, invoice_id, gateway_invoice_id, amount_minor, currency, fee_minor,
        occurred_at, occurred_at_source, :recorded_at, source, raw, who
    FROM jsonb_to_recordset(:events::jsonb) AS given (
        gateway text, payment_id text, kind text, ref text, invoice_id text, gateway_invoice_id uuid,
        amount_minor bigint, currency text, fee_minor bigint, occurred_at timestamptz, occurred_at_source text,
        source text, raw jsonb, who text
    )
    ORDER BY gateway COLLATE "C", payment_id COLLATE "C", kind COLLATE "C", ref COLLATE "C"
    ON CONFLICT (gateway, payment_id, kind, ref) DO NOTHING
    RETURNING gateway, payment_id, kind, ref, invoice_id, currency, amount_minor, occurred_at
),
delta AS (
    SELECT gateway, payment_id, kind, ref, invoice_id, currency, occurred_at,
        CASE kind WHEN 'received' THEN amount_minor WHEN 'assigned' THEN amount_minor
            WHEN 'unassigned' THEN -amount_minor ELSE 0 END AS received_minor,
        CASE kind WHEN 'refunded' THEN amount_minor ELSE 0 END AS refunded_minor
    FROM inserted
),
projected AS (
    UPDATE invoice_balance AS b SET
        received_minor = b.received_minor + d.received_minor,
        refunded_minor = b.refunded_minor + d.refunded_minor,
        payments = b.payments + d.payments,
        first_paid_at = least(b.first_paid_at, d.first_paid_at),
        last_paid_at = greatest(b.last_paid_at, d.last_paid_at)
    FROM (
        SELECT invoice_id, sum(received_minor) AS received_minor, sum(refunded_minor) AS refunded_minor,
            count(*) FILTER (WHERE kind IN ('received', 'assigned')) AS payments,
            min(occurred_at) FILTER (WHERE kind IN ('received', 'assigned')) AS first_paid_at,
            max(occurred_at) FILTER (WHERE kind IN ('received', 'assigned')) AS last_paid_at
        FROM delta
        WHERE invoice_id IS NOT NULL
        GROUP BY invoice_id
    ) AS d
    WHERE b.invoice_id = d.invoice_id
),
of_payment AS (
    SELECT gateway, payment_id, min(currency) AS currency,
        coalesce(max(invoice_id) FILTER (WHERE kind = 'assigned'), max(invoice_id) FILTER (WHERE kind = 'received'))
            AS invoice_id,
        sum(CASE kind WHEN 'received' THEN received_minor ELSE 0 END) AS received_minor,
        sum(refunded_minor) AS refunded_minor,
        bool_or(kind = 'received') AS is_new
    FROM delta
    GROUP BY gateway, payment_id
),
first_seen AS (
    INSERT INTO payment (gateway, payment_id, invoice_id, currency, received_minor, refunded_minor)
    SELECT gateway, payment_id, invoice_id, currency, received_minor, refunded_minor
    FROM of_payment
    WHERE is_new
    ORDER BY gateway, payment_id
),
moved AS (
    UPDATE payment AS p SET
        invoice_id = coalesce(o.invoice_id, p.invoice_id),
        refunded_minor = p.refunded_minor + o.refunded_minor
    FROM of_payment AS o
    WHERE NOT o.is_new AND p.gateway = o.gateway AND p.payment_id = o.payment_id
),
suspended AS (
    INSERT INTO suspense_balance AS b (gateway, currency, received_minor, refunded_minor)
    SELECT gateway, currency, sum(received_minor), sum(refunded_minor)
    FROM delta
    WHERE invoice_id IS NULL
    GROUP BY gateway, currency
    ORDER BY gateway, currency
    ON CONFLICT (gateway, currency) DO UPDATE SET
        received_minor = b.received_minor + excluded.received_minor,
        refunded_minor = b.refunded_minor + excluded.refunded_minor
)
SELECT count(*) AS events FROM inserted;

-- name: note_discrepancies(kinds, gateways, subjects, fingerprints, invoice_ids, payment_ids, details, certain, now)
-- Ask what was not asked before. What may be a stale read opens when it is met the second time.
INSERT INTO discrepancy AS d (
    kind, gateway, subject, fingerprint, invoice_id, payment_id, detail, state, first_seen_at, last_seen_at
)
SELECT kind, gateway, subject, fingerprint, invoice_id, payment_id, detail,
    CASE WHEN certain THEN 'open' ELSE 'suspected' END, :now, :now
FROM unnest(
    :kinds::text[], :gateways::text[], :subjects::text[], :fingerprints::text[], :invoice_ids::text[],
    :payment_ids::text[], :details::text[], :certain::boolean[]
) AS asked (kind, gateway, subject, fingerprint, invoice_id, payment_id, detail, certain)
ORDER BY kind, gateway, subject, fingerprint
ON CONFLICT (kind, gateway, subject, fingerprint) DO UPDATE SET
    seen = CASE d.state WHEN 'withdrawn' THEN 1 ELSE d.seen + 1 END,
    state = CASE d.state WHEN 'suspected' THEN 'open' WHEN 'withdrawn' THEN excluded.state ELSE d.state END,
    last_seen_at = excluded.last_seen_at
RETURNING d.id, d.kind, d.gateway, d.subject, d.fingerprint, d.state, d.seen;

-- name: withdraw_suspicions(gateways, payment_ids)!
-- Forget what was suspected of payments that the gateway shows as PAID again.
UPDATE discrepancy SET state = 'withdrawn'
WHERE state = 'suspected'
    AND (gateway, payment_id) IN (
        SELECT gateway, payment_id FROM unnest(:gateways::text[], :payment_ids::text[]) AS k (gateway, payment_id)
    );

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
        count(*) FILTER (WHERE kind IN ('received', 'assigned')) AS payments
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

-- name: event_by_key(gateway, payment_id, kind, ref)^
-- Read one event.
SELECT position, gateway, payment_id, kind, invoice_id, amount_minor, currency, fee_minor,
    occurred_at, occurred_at_source, recorded_at, source
FROM payment_event
WHERE gateway = :gateway AND payment_id = :payment_id AND kind = :kind AND ref = :ref;

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
