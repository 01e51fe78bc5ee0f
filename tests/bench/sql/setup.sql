-- What a benchmark begins with. Runs as the superuser, in the schema tootsoo.

-- name: seed_invoices(prefix, first, count, due_minor)!
-- Make invoices, each with its amount, its balance and an open QR whose check is being made, a callback having asked for it.
-- Their ids are spread over the whole range of ids, as a merchant's are not: it spares no index a cache miss.
WITH numbered AS (
    SELECT substr(md5(:prefix || '-' || n), 1, 12) || '-' || :prefix || '-' || n AS invoice_id, n
    FROM generate_series(:first::bigint, :first::bigint + :count - 1) AS n
),
invoices AS (
    INSERT INTO invoice (id, description, receiver_code, created_at)
    SELECT invoice_id, 'An order', 'terminal', now()
    FROM numbered
),
changes AS (
    INSERT INTO invoice_change (invoice_id, kind, amount_minor, currency, who, changed_at)
    SELECT invoice_id, 'amount', :due_minor, 'MNT', 'bench', now()
    FROM numbered
),
balances AS (
    INSERT INTO invoice_balance (invoice_id, currency, due_minor)
    SELECT invoice_id, 'MNT', :due_minor
    FROM numbered
)
INSERT INTO gateway_invoice (
    id, invoice_id, gateway, generation, number, external_id, amount_minor, currency, state, qr_text,
    issued_at, expires_at, issue_deadline, requested, served, request_source, next_check_at, rung_at, checked_at,
    lease_token, lease_until, attempts, awaited_payment_ids, awaited_since
)
SELECT gen_random_uuid(), invoice_id, 'qpay', 1, invoice_id, gen_random_uuid()::text, :due_minor, 'MNT', 'open',
    repeat('0002010102', 25), now(), now() + interval '7 days', now() + interval '60 s',
    1, 0, 'callback', now(), now(), now(), gen_random_uuid(), now() + interval '1 day', 1,
    ARRAY['pay-' || invoice_id], now()
FROM numbered;

-- name: open_qrs(prefix, first, count)
-- Read the seeded QRs in the order of their numbers.
SELECT g.id AS gateway_invoice_id, g.invoice_id, g.external_id, g.lease_token, g.amount_minor
FROM generate_series(:first::bigint, :first::bigint + :count - 1) AS n
JOIN gateway_invoice AS g ON g.invoice_id = substr(md5(:prefix || '-' || n), 1, 12) || '-' || :prefix || '-' || n
ORDER BY n;

-- name: trust_rows()#
-- Check no foreign keys in this session: a filling makes both ends of each.
SET session_replication_role = replica;

-- name: fill_invoices(count)!
-- Make paid invoices whose ids lie evenly over the whole range of ids, in its order.
WITH numbered AS (
    SELECT lpad(to_hex(n * (281474976710656 / :count)), 12, '0') || '-f' AS invoice_id
    FROM generate_series(0::bigint, :count::bigint - 1) AS n
),
invoices AS (
    INSERT INTO invoice (id, description, receiver_code, created_at)
    SELECT invoice_id, 'An order', 'terminal', now()
    FROM numbered
),
balances AS (
    INSERT INTO invoice_balance (invoice_id, currency, due_minor, received_minor, payments, first_paid_at, last_paid_at)
    SELECT invoice_id, 'MNT', 100000, 100000, 10, now(), now()
    FROM numbered
)
INSERT INTO gateway_invoice (
    id, invoice_id, gateway, generation, number, external_id, amount_minor, currency, state, qr_text,
    issued_at, expires_at, issue_deadline, requested, served
)
SELECT (md5(invoice_id))::uuid, invoice_id, 'qpay', 1, invoice_id, invoice_id, 100000, 'MNT', 'settled', '0002010102',
    now(), now() + interval '7 days', now() + interval '60 s', 1, 1
FROM numbered;

-- name: fill_events(first, last, count, invoices)!
-- Make a part of `count` events, ten an invoice, in the order of their payment ids.
WITH filled AS (
    INSERT INTO payment_event (
        gateway, payment_id, kind, ref, invoice_id, gateway_invoice_id, amount_minor, currency,
        occurred_at, occurred_at_source, recorded_at, source, raw
    )
SELECT 'qpay', 'pay-' || lpad(to_hex(n * (281474976710656 / :count)), 12, '0'), 'received', 'gateway',
    invoice_id, md5(invoice_id)::uuid, 10000, 'MNT', now(), 'gateway', now(), 'callback', '{}'
FROM generate_series(:first::bigint, :last::bigint) AS n
CROSS JOIN LATERAL (
    SELECT lpad(to_hex(n * :invoices / :count * (281474976710656 / :invoices)), 12, '0') || '-f' AS invoice_id
) AS i
    RETURNING gateway, payment_id, invoice_id, currency, amount_minor
)
INSERT INTO payment (gateway, payment_id, invoice_id, currency, received_minor)
SELECT gateway, payment_id, invoice_id, currency, amount_minor
FROM filled;

-- name: forget_requests(prefix)!
-- Let nothing have been asked for yet about the QRs of these seeded invoices.
UPDATE gateway_invoice SET
    requested = 0, request_source = NULL, next_check_at = NULL, rung_at = NULL, checked_at = NULL, lease_token = NULL,
    lease_until = NULL, attempts = 0, awaited_payment_ids = '{}', awaited_since = NULL
WHERE invoice_id LIKE '%%-' || :prefix || '-%%';
