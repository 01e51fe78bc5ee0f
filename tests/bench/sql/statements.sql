-- The limit of an import: the rows that it writes, in the tables that it writes to, and nothing else.

-- name: begin_import()!
-- Write that there is a file.
INSERT INTO statement_import (file_name, file_digest, bank, format, who, began_at)
VALUES ('bare', sha256(''), 'khan', 'khan.json', 'bare', now());

-- name: insert_lines(rows)!
-- Write lines.
INSERT INTO statement_line (
    key, import_id, number, format, bank, account, posted_on, posted_at, timed, direction, amount_minor, currency,
    balance_minor, occurrence, description, counterparty_account, reference, correction, raw
)
SELECT key, (SELECT max(id) FROM statement_import), number, 'khan.json', 'khan', account, posted_on, posted_at, true, 'credit',
    amount_minor, 'MNT', balance_minor, 1, description, counterparty_account, reference, false, raw
FROM jsonb_to_recordset(:rows::jsonb) AS r (
    key text, number integer, account text, posted_on date, posted_at timestamptz, amount_minor bigint,
    balance_minor bigint, description text, counterparty_account text, reference text, raw jsonb
);

-- name: insert_outcomes(rows)!
-- Write what became of them.
INSERT INTO statement_outcome (line_id, state, why, invoice_id, decided_at)
SELECT l.id, 'recorded', 'reference_and_amount', r.invoice_id, now()
FROM jsonb_to_recordset(:rows::jsonb) AS r (key text, invoice_id text)
JOIN statement_line AS l USING (key);

-- name: insert_events(rows)!
-- Write their events.
INSERT INTO payment_event (
    gateway, payment_id, kind, ref, invoice_id, amount_minor, currency, occurred_at, occurred_at_source, recorded_at,
    source, raw
)
SELECT 'bank', key, 'received', 'gateway', invoice_id, amount_minor, 'MNT', posted_at, 'gateway', now(), 'statement', raw
FROM jsonb_to_recordset(:rows::jsonb) AS r (
    key text, invoice_id text, amount_minor bigint, posted_at timestamptz, raw jsonb
);

-- name: insert_payments(rows)!
-- Write their payments.
INSERT INTO payment (gateway, payment_id, invoice_id, currency, received_minor)
SELECT 'bank', key, invoice_id, 'MNT', amount_minor
FROM jsonb_to_recordset(:rows::jsonb) AS r (key text, invoice_id text, amount_minor bigint);

-- name: update_balances(rows)!
-- Write their balances, each invoice once.
UPDATE invoice_balance AS b SET
    received_minor = b.received_minor + r.amount_minor, payments = b.payments + 1,
    first_paid_at = least(b.first_paid_at, r.posted_at), last_paid_at = greatest(b.last_paid_at, r.posted_at)
FROM jsonb_to_recordset(:rows::jsonb) AS r (invoice_id text, amount_minor bigint, posted_at timestamptz)
WHERE b.invoice_id = r.invoice_id;

-- name: insert_notifications(rows)!
-- Write their notifications, each invoice's first.
INSERT INTO notification (invoice_id, sequence, type, data, staged_at)
SELECT invoice_id, 1, 'invoice.paid',
    jsonb_build_object(
        'invoice_id', invoice_id, 'status', 'paid', 'currency', 'MNT', 'due_minor', amount_minor,
        'received_minor', amount_minor, 'refunded_minor', 0, 'net_minor', amount_minor,
        'outstanding_minor', 0, 'overpaid_minor', 0
    ),
    now()
FROM jsonb_to_recordset(:rows::jsonb) AS r (invoice_id text, amount_minor bigint);
