-- Invoices, what they ask for, and their balances.

-- name: insert_invoice(id, description, receiver_code, due_at, now)!
-- Make an invoice, unless there is one of that id.
INSERT INTO invoice (id, description, receiver_code, due_at, created_at)
VALUES (:id, :description, :receiver_code, :due_at, :now)
ON CONFLICT (id) DO NOTHING;

-- name: insert_balance(invoice_id, currency, due_minor)!
-- Give a new invoice its balance.
INSERT INTO invoice_balance (invoice_id, currency, due_minor)
VALUES (:invoice_id, :currency, :due_minor);

-- name: insert_amount_change(invoice_id, amount_minor, currency, who, now)!
-- Append that an invoice asks for an amount from now on.
INSERT INTO invoice_change (invoice_id, kind, amount_minor, currency, who, changed_at)
VALUES (:invoice_id, 'amount', :amount_minor, :currency, :who, :now);

-- name: insert_void_change(invoice_id, reason, who, now)!
-- Append that an invoice is void from now on.
INSERT INTO invoice_change (invoice_id, kind, reason, who, changed_at)
VALUES (:invoice_id, 'void', :reason, :who, :now);

-- name: update_voided(invoice_id, now)!
-- Project that an invoice is void.
UPDATE invoice_balance SET voided_at = :now
WHERE invoice_id = :invoice_id;

-- name: lock_balance(invoice_id)^
-- Read and lock a balance.
SELECT currency, due_minor, received_minor, refunded_minor, voided_at, payments, first_paid_at, last_paid_at
FROM invoice_balance
WHERE invoice_id = :invoice_id
FOR UPDATE;

-- name: update_due(invoice_id, due_minor)!
-- Project a change of amount.
UPDATE invoice_balance SET due_minor = :due_minor
WHERE invoice_id = :invoice_id;

-- name: update_description(id, description, receiver_code, due_at)!
-- Change what is said about an invoice, where it differs.
UPDATE invoice SET description = :description, receiver_code = :receiver_code, due_at = :due_at
WHERE id = :id
    AND (description, receiver_code, due_at) IS DISTINCT FROM (:description, :receiver_code, :due_at::timestamptz);

-- name: close_open_gateway_invoices(invoice_id)!
-- Let every open QR of an invoice be made unpayable: what it asks for is no longer right.
UPDATE gateway_invoice SET state = 'closing'
WHERE invoice_id = :invoice_id AND state = 'open';

-- name: read_invoice(id)
-- Read an invoice with its balance, once for each of its QRs, gateway by gateway and generation by generation; once with
-- no QR when it has none. One round trip: a checkout asks every second.
SELECT i.id, i.description, i.receiver_code, i.due_at, b.currency, b.due_minor, b.received_minor, b.refunded_minor,
    b.voided_at, b.payments, b.first_paid_at, b.last_paid_at, b.outstanding_minor, b.overpaid_minor, b.status,
    g.id AS qr_id, g.gateway AS qr_gateway, g.generation AS qr_generation, g.state AS qr_state,
    g.amount_minor AS qr_amount_minor, g.currency AS qr_currency, g.issued_at AS qr_issued_at,
    g.expires_at AS qr_expires_at
FROM invoice AS i
JOIN invoice_balance AS b ON b.invoice_id = i.id
LEFT JOIN gateway_invoice AS g ON g.invoice_id = i.id
WHERE i.id = :id
ORDER BY g.gateway, g.generation;
