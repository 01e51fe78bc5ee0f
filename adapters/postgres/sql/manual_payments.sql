-- Payments that people recorded by hand.

-- name: earlier_with_reference(gateway, payment_id, reference, page)
-- Read which payments by hand were recorded with a reference before this one, whatever its case; the newest first.
SELECT e.payment_id, e.invoice_id, e.amount_minor, e.currency
FROM payment_event AS e
WHERE e.source = 'manual' AND lower(e.raw ->> 'reference') = lower(:reference)
    AND e.position < (
        SELECT own.position
        FROM payment_event AS own
        WHERE own.gateway = :gateway AND own.payment_id = :payment_id AND own.kind = 'received'
    )
ORDER BY e.position DESC
LIMIT :page;
