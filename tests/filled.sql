-- A ledger filled quickly, for replay and its benchmark. Runs as the superuser, in the schema tootsoo.

-- name: trust_rows()#
-- Check no foreign keys in this session: a filling makes both ends of each.
SET session_replication_role = replica;

-- name: fill_invoices(invoices, due_minor)!
-- Make invoices whose ids are spread over the whole range of ids.
WITH numbered AS (
    SELECT substr(md5(n::text), 1, 12) || '-r' || n AS invoice_id
    FROM generate_series(0, :invoices::bigint - 1) AS n
),
made AS (
    INSERT INTO invoice (id, description, receiver_code, created_at)
    SELECT invoice_id, 'An order', 'terminal', now()
    FROM numbered
)
INSERT INTO invoice_change (invoice_id, kind, amount_minor, currency, who, changed_at)
SELECT invoice_id, 'amount', :due_minor, 'MNT', 'filled', now()
FROM numbered;

-- name: fill_events(first, last, invoices)!
-- Make events: the payments of one invoice come one after another with as many others between them.
INSERT INTO payment_event (
    gateway, payment_id, kind, ref, invoice_id, amount_minor, currency, occurred_at, occurred_at_source, recorded_at,
    source, raw
)
SELECT 'qpay', substr(md5('p' || n), 1, 12) || n, 'received', 'gateway',
    substr(md5((n %% :invoices)::text), 1, 12) || '-r' || n %% :invoices,
    1000000 + n %% 7, 'MNT', now() + n * interval '1 s', 'gateway', now(), 'callback', '{}'
FROM generate_series(:first::bigint, :last::bigint) AS n;

-- name: fill_projections()#
-- Project what was filled.
INSERT INTO payment (gateway, payment_id, invoice_id, currency, received_minor)
SELECT gateway, payment_id, invoice_id, currency, amount_minor
FROM payment_event;
INSERT INTO invoice_balance (invoice_id, currency, due_minor, received_minor, payments, first_paid_at, last_paid_at)
SELECT c.invoice_id, 'MNT', c.amount_minor, coalesce(sum(e.amount_minor), 0), count(e.position), min(e.occurred_at),
    max(e.occurred_at)
FROM invoice_change AS c
LEFT JOIN payment_event AS e USING (invoice_id)
GROUP BY c.invoice_id, c.amount_minor;

-- name: spoil_balances(by_minor, every)!
-- Make one balance of so many wrong.
UPDATE invoice_balance SET received_minor = received_minor + :by_minor
WHERE abs(hashtext(invoice_id)) %% :every = 0;

-- name: wrong_by()
-- Read by how much each balance is wrong, where it is, in one snapshot.
SELECT b.invoice_id, (b.received_minor - coalesce(e.received_minor, 0))::bigint AS wrong_by_minor
FROM invoice_balance AS b
LEFT JOIN (
    SELECT invoice_id, sum(CASE kind WHEN 'received' THEN amount_minor WHEN 'assigned' THEN amount_minor
        WHEN 'unassigned' THEN -amount_minor ELSE 0 END) AS received_minor
    FROM payment_event
    WHERE invoice_id IS NOT NULL
    GROUP BY invoice_id
) AS e USING (invoice_id)
WHERE b.received_minor <> coalesce(e.received_minor, 0);
