-- What the oracle reads, as a superuser: nothing here is shared with the code that it judges.

-- name: events()
-- Every event, and a digest of all of its row.
SELECT position, gateway, payment_id, kind, ref, invoice_id, amount_minor, currency, occurred_at, recorded_at, source,
    raw::text AS raw, md5(e::text) AS digest
FROM payment_event AS e
ORDER BY position;

-- name: changes()
-- Every change of what an invoice asks for.
SELECT invoice_id, position, kind, amount_minor, currency
FROM invoice_change
ORDER BY position;

-- name: balances()
-- Every balance as it is projected.
SELECT invoice_id, currency, due_minor, received_minor, refunded_minor, net_minor, outstanding_minor, overpaid_minor,
    status, payments, first_paid_at, last_paid_at, voided_at IS NOT NULL AS voided
FROM invoice_balance;

-- name: payments()
-- Every payment as it is projected.
SELECT gateway, payment_id, received_minor, refunded_minor
FROM payment;

-- name: suspense()
-- What is projected to wait for an invoice.
SELECT gateway, currency, net_minor
FROM suspense_balance;

-- name: projections()
-- All projections in one digest each.
SELECT
    (SELECT md5(coalesce(string_agg(b::text, ';' ORDER BY invoice_id), '')) FROM invoice_balance AS b) AS balances,
    (SELECT md5(coalesce(string_agg(p::text, ';' ORDER BY gateway, payment_id), '')) FROM payment AS p) AS payments,
    (SELECT md5(coalesce(string_agg(s::text, ';' ORDER BY gateway, currency), '')) FROM suspense_balance AS s) AS suspense,
    (SELECT count(*) FROM notification) AS notifications,
    (SELECT count(*) FROM payment_event) AS events;

-- name: questions()
-- Questions that are open.
SELECT id, kind, detail
FROM discrepancy
WHERE state = 'open';

-- name: gateway_invoices()
-- Every QR with its check request.
SELECT id::text AS id, invoice_id, external_id, state, requested, served, lease_token IS NOT NULL AS leased, attempts,
    coalesce(requested > served AND external_id IS NOT NULL AND next_check_at <= now() + interval '2 seconds', false)
        AS due
FROM gateway_invoice;

-- name: stuck_sessions()
-- Sessions of our processes that hold something without doing anything, or wait for a lock.
SELECT pid, state, wait_event_type, coalesce(left(query, 80), '') AS query
FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'tootsoo'
    AND (state LIKE 'idle in transaction%%' OR wait_event_type = 'Lock');

-- name: advisory_locks()
-- Locks that somebody has taken by number.
SELECT pid, classid, objid
FROM pg_locks
WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database());

-- name: prepared()$
-- Transactions that wait for a second phase nobody here knows of.
SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database();
