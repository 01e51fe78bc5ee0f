-- Ties: which QR of ours a payment in a gateway's list is on, by what the list tells of it.

-- name: find_ties(gateway, external_ids, qr_texts)
-- Find the QRs of ours by the gateway's id of the gateway invoice, and by the text of the QR, where that is one QR's alone.
-- "n" numbers the clue from 1; both arrays are equally long, and null is not told.
SELECT n, gateway_invoice_id, invoice_id, tied_by
FROM find_ties(:gateway, :external_ids::text[], :qr_texts::text[]);

-- name: find_recorded(gateway, payment_ids)
-- Find those of a gateway's payments that are recorded.
SELECT p.payment_id
FROM unnest(:payment_ids::text[]) AS wanted (payment_id)
JOIN payment AS p ON p.gateway = :gateway AND p.payment_id = wanted.payment_id;
