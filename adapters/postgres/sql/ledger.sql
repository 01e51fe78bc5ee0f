-- The ledger: what is recorded is read, and what was decided on it is written. The functions are in migrations/.

-- name: recorded(invoice_ids, gateways, payment_ids, gateway_invoice_ids)^
-- Read balances, and the events of payments and of what was received on QRs: one snapshot.
SELECT balances, events
FROM recorded(:invoice_ids::text[], :gateways::text[], :payment_ids::text[], :gateway_invoice_ids::uuid[]);

-- name: references_of(gateways, payment_ids, reference_keys)
-- Read what else payments were told apart by, from the gateway's row that they were received with.
SELECT e.gateway, e.payment_id, e.raw ->> k.reference_key AS reference
FROM unnest(:gateways::text[], :payment_ids::text[], :reference_keys::text[]) AS k (gateway, payment_id, reference_key)
JOIN payment_event AS e ON e.gateway = k.gateway AND e.payment_id = k.payment_id AND e.kind = 'received'
WHERE jsonb_typeof(e.raw -> k.reference_key) = 'string';

-- name: plan_anew()#
-- Forget the plans of this session: statistics may be as old as it is, and tables have grown.
DISCARD PLANS;

-- name: lock_invoices(invoice_ids)!
-- Lock balances in id order, so that appends in opposite orders wait for each other instead of deadlocking.
SELECT FROM invoice_balance
WHERE invoice_id = ANY (:invoice_ids::text[])
ORDER BY invoice_id
FOR UPDATE;

-- name: lock_payments(gateways, payment_ids)!
-- Lock payments in key order.
SELECT FROM payment
WHERE (gateway, payment_id) IN (SELECT * FROM unnest(:gateways::text[], :payment_ids::text[]))
ORDER BY gateway, payment_id
FOR UPDATE;

-- name: append_decided(balances, known, known_events, events, cleared, discrepancies, finished, noted_at)^
-- Write what was decided, if what it was decided on still holds.
SELECT written, opened, ring_in_s
FROM append_decided(
    :balances::jsonb, :known::jsonb, :known_events::integer, :events::jsonb, :cleared::jsonb, :discrepancies::jsonb,
    :finished::jsonb, :noted_at
);

-- name: append_received(balance, event, finished, noted_at)^
-- Write one payment that nobody knew, if the balance that it was decided on still is as it was.
SELECT written, ring_in_s
FROM append_received(:balance::jsonb, :event::jsonb, :finished::jsonb, :noted_at);

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

-- name: events_page(invoice_id, gateway, occurred_from, occurred_to, unmatched, after, up_to, page)
-- Read events in the order of their positions, after one and up to another; "unmatched" are those in suspense of payments of which
-- something still lies there.
SELECT position, gateway, payment_id, kind, invoice_id, amount_minor, currency, fee_minor,
    occurred_at, occurred_at_source, recorded_at, source
FROM payment_event
WHERE position > :after AND position <= :up_to
    AND (:invoice_id::text IS NULL OR invoice_id = :invoice_id)
    AND (:gateway::text IS NULL OR gateway = :gateway)
    AND (:occurred_from::timestamptz IS NULL OR occurred_at >= :occurred_from)
    AND (:occurred_to::timestamptz IS NULL OR occurred_at < :occurred_to)
    AND (NOT :unmatched OR (invoice_id IS NULL AND 0 < (
        SELECT sum(CASE WHEN s.kind IN ('received', 'assigned') THEN s.amount_minor ELSE -s.amount_minor END)
        FROM payment_event AS s
        WHERE s.gateway = payment_event.gateway AND s.payment_id = payment_event.payment_id AND s.invoice_id IS NULL
    )))
ORDER BY position
LIMIT :page;
