-- Plain tables as an application has them that records payments inside its webhook handler.

-- name: create_tables#
-- Make the tables.
CREATE TABLE invoices (
    id text PRIMARY KEY,
    amount bigint NOT NULL,
    paid_amount bigint NOT NULL DEFAULT 0,
    status text NOT NULL DEFAULT 'unpaid'
);
CREATE TABLE payments (
    id bigserial PRIMARY KEY,
    payment_id text NOT NULL UNIQUE,
    invoice_id text NOT NULL REFERENCES invoices,
    amount bigint NOT NULL,
    raw jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- name: insert_invoices(ids, amount)!
-- Make the invoices.
INSERT INTO invoices (id, amount)
SELECT id, :amount
FROM unnest(:ids::text[]) AS id;

-- name: find_payment(payment_id)
-- Look whether a payment is there.
SELECT id
FROM payments
WHERE payment_id = :payment_id;

-- name: insert_payment(payment_id, invoice_id, amount, raw)!
-- Record a payment.
INSERT INTO payments (payment_id, invoice_id, amount, raw)
VALUES (:payment_id, :invoice_id, :amount, :raw);

-- name: add_to_invoice(invoice_id, amount)!
-- Add a payment to its invoice.
UPDATE invoices SET
    paid_amount = paid_amount + :amount,
    status = CASE WHEN paid_amount + :amount >= amount THEN 'paid' ELSE 'partial' END
WHERE id = :invoice_id;

-- name: paid_amounts()
-- Read what was paid on each invoice.
SELECT id, paid_amount
FROM invoices
WHERE paid_amount > 0;

-- name: create_view#
-- Make the table that `eventsourcing` projects into.
CREATE TABLE invoice_balance (
    invoice_id text PRIMARY KEY,
    received bigint NOT NULL,
    payments integer NOT NULL
);

-- name: project_payment(invoice_id, amount)!
-- Add one event to the projected balance.
INSERT INTO invoice_balance AS b (invoice_id, received, payments)
VALUES (:invoice_id, :amount, 1)
ON CONFLICT (invoice_id) DO UPDATE SET received = b.received + excluded.received, payments = b.payments + 1;

-- name: projected_balances()
-- Read the projected balances.
SELECT invoice_id, received
FROM invoice_balance;

-- name: our_balances()
-- Read ours.
SELECT invoice_id, received_minor
FROM tootsoo.invoice_balance
WHERE received_minor > 0;
