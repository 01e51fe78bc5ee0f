-- Ties: which QR of ours a payment in a gateway's list is on, by what the list tells of it.

-- name: find_ties(gateway, external_ids, qr_texts)
-- Find the QRs of ours by the gateway's id of the gateway invoice, and by the text of the QR, where that is one QR's alone.
-- "n" numbers the clue from 1; both arrays are equally long, and null is not told.
SELECT clue.n, g.id AS gateway_invoice_id, g.invoice_id, 'external_id' AS tied_by
FROM unnest(:external_ids::text[]) WITH ORDINALITY AS clue (external_id, n)
JOIN gateway_invoice AS g ON g.gateway = :gateway AND g.external_id = clue.external_id
UNION ALL
SELECT clue.n, only_one.gateway_invoice_id, only_one.invoice_id, 'qr_text'
FROM unnest(:qr_texts::text[]) WITH ORDINALITY AS clue (qr_text, n)
CROSS JOIN LATERAL (
    SELECT (array_agg(two.id))[1] AS gateway_invoice_id, min(two.invoice_id) AS invoice_id
    FROM (
        SELECT g.id, g.invoice_id
        FROM gateway_invoice AS g
        WHERE g.gateway = :gateway
            AND hashtextextended(g.qr_text, 0) = hashtextextended(clue.qr_text, 0)
            AND g.qr_text = clue.qr_text
        LIMIT 2
    ) AS two
    HAVING count(*) = 1
) AS only_one;

-- name: find_recorded(gateway, payment_ids)
-- Find those of a gateway's payments that are recorded.
SELECT p.payment_id
FROM unnest(:payment_ids::text[]) AS wanted (payment_id)
JOIN payment AS p ON p.gateway = :gateway AND p.payment_id = wanted.payment_id;
