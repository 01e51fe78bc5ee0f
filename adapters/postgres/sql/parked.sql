-- What is parked: checks that failed too often, and QRs that could not be closed.

-- name: list_parked(gateway_invoice_id, page)
-- Read what is parked, longest first; of one gateway invoice where one is given.
SELECT p.kind, p.id, p.invoice_id, p.gateway, p.generation, p.number, p.external_id, p.state, p.parked_at, p.code,
    p.reason, p.failures
FROM (
    SELECT 'check' AS kind, id, invoice_id, gateway, generation, number, external_id, state, parked_at,
        parked_code AS code, parked_reason AS reason, attempts AS failures
    FROM gateway_invoice
    WHERE parked_at IS NOT NULL
    UNION ALL
    SELECT 'close', id, invoice_id, gateway, generation, number, external_id, state, close_parked_at,
        close_code, close_error, close_failures
    FROM gateway_invoice
    WHERE close_parked_at IS NOT NULL AND state = 'closing'
) AS p
WHERE :gateway_invoice_id::uuid IS NULL OR p.id = :gateway_invoice_id
ORDER BY p.parked_at, p.id, p.kind
LIMIT :page;

-- name: find(name)$
-- Find a gateway invoice by its id, or by its number at its gateway.
SELECT id
FROM gateway_invoice
WHERE id::text = :name OR number = :name
ORDER BY id::text = :name DESC, issued_at DESC
LIMIT 1;

-- name: retry_checks(gateway_invoice_id, code, page)!
-- Let parked checks be tried again from the start, now; the scheduler rings for them.
UPDATE gateway_invoice SET
    parked_at = NULL, attempts = 0, deaths = 0, next_check_at = now(), rung_at = NULL
WHERE id IN (
    SELECT id
    FROM gateway_invoice
    WHERE parked_at IS NOT NULL
        AND (:gateway_invoice_id::uuid IS NULL OR id = :gateway_invoice_id)
        AND (:code::text IS NULL OR parked_code = :code)
    ORDER BY parked_at
    LIMIT :page
    FOR UPDATE SKIP LOCKED
);

-- name: retry_closings(gateway_invoice_id, code, page)!
-- Let parked QRs be closed again from the start, now; the scheduler rings for them.
UPDATE gateway_invoice SET
    close_parked_at = NULL, close_failures = 0, close_attempts = 0, next_close_at = NULL
WHERE id IN (
    SELECT id
    FROM gateway_invoice
    WHERE close_parked_at IS NOT NULL AND state = 'closing'
        AND (:gateway_invoice_id::uuid IS NULL OR id = :gateway_invoice_id)
        AND (:code::text IS NULL OR close_code = :code)
    ORDER BY close_parked_at
    LIMIT :page
    FOR UPDATE SKIP LOCKED
);
