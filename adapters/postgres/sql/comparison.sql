-- The projections compared with what events and changes come to. What differs is kept in temporary tables, a number a
-- row in the order of the keys, so that it can be read and written a page at a time however much it is.

-- name: begin_comparison()#
-- Take one snapshot for all that follows, and the memory for hashing a large ledger; both end with the transaction.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
SET LOCAL statement_timeout TO '1h';
SET LOCAL work_mem TO '64MB';
DROP TABLE IF EXISTS pg_temp.unlike_balance, pg_temp.doubtful_payment, pg_temp.unlike_payment, pg_temp.unlike_suspense;

-- name: size()^
-- Count what is compared.
SELECT (SELECT count(*) FROM payment_event) AS events, (SELECT count(*) FROM invoice) AS invoices;

-- name: size_of_invoice(invoice_id)^
-- Count what is compared of one invoice.
SELECT (SELECT count(*) FROM payment_event WHERE invoice_id = :invoice_id) AS events,
    (SELECT count(*) FROM invoice WHERE id = :invoice_id) AS invoices;

-- name: compare_balances(invoice_id)!
-- Find the balances, or the one, that differ. How many events and changes each was summed from is kept beside it: both
-- are append-only, so as long as there are as many the sums are the same.
CREATE TEMPORARY TABLE unlike_balance AS
WITH summed AS (
    SELECT invoice_id,
        count(*) AS events,
        sum(CASE kind WHEN 'received' THEN amount_minor WHEN 'assigned' THEN amount_minor
            WHEN 'unassigned' THEN -amount_minor ELSE 0 END) AS received_minor,
        sum(CASE kind WHEN 'refunded' THEN amount_minor ELSE 0 END) AS refunded_minor,
        count(*) FILTER (WHERE kind IN ('received', 'assigned')) AS payments,
        min(occurred_at) FILTER (WHERE kind IN ('received', 'assigned')) AS first_paid_at,
        max(occurred_at) FILTER (WHERE kind IN ('received', 'assigned')) AS last_paid_at
    FROM payment_event
    WHERE invoice_id IS NOT NULL AND (:invoice_id::text IS NULL OR invoice_id = :invoice_id)
    GROUP BY invoice_id
),
changed AS (
    SELECT invoice_id,
        count(*) AS changes,
        (array_agg(amount_minor ORDER BY position DESC) FILTER (WHERE kind = 'amount'))[1] AS due_minor,
        (array_agg(currency ORDER BY position DESC) FILTER (WHERE kind = 'amount'))[1] AS currency,
        min(changed_at) FILTER (WHERE kind = 'void') AS voided_at
    FROM invoice_change
    WHERE :invoice_id::text IS NULL OR invoice_id = :invoice_id
    GROUP BY invoice_id
),
live AS (
    SELECT invoice_id, currency, due_minor, received_minor, refunded_minor, voided_at, payments,
        first_paid_at, last_paid_at
    FROM invoice_balance
    WHERE :invoice_id::text IS NULL OR invoice_id = :invoice_id
),
rebuilt AS (
    SELECT invoice_id,
        coalesce(s.events, 0) AS events,
        coalesce(c.changes, 0) AS changes,
        c.currency,
        coalesce(c.due_minor, 0) AS due_minor,
        coalesce(s.received_minor, 0) AS received_minor,
        coalesce(s.refunded_minor, 0) AS refunded_minor,
        c.voided_at,
        coalesce(s.payments, 0) AS payments,
        s.first_paid_at,
        s.last_paid_at
    FROM changed AS c
    FULL JOIN summed AS s USING (invoice_id)
),
compared AS (
    SELECT invoice_id, b.currency AS live_currency, b.due_minor AS live_due_minor,
        b.received_minor AS live_received_minor, b.refunded_minor AS live_refunded_minor,
        b.voided_at AS live_voided_at, b.payments AS live_payments, b.first_paid_at AS live_first_paid_at,
        b.last_paid_at AS live_last_paid_at,
        coalesce(r.events, 0) AS events, coalesce(r.changes, 0) AS changes,
        coalesce(r.currency, b.currency) AS currency, coalesce(r.due_minor, 0) AS due_minor,
        coalesce(r.received_minor, 0) AS received_minor, coalesce(r.refunded_minor, 0) AS refunded_minor,
        r.voided_at, coalesce(r.payments, 0) AS payments, r.first_paid_at, r.last_paid_at
    FROM rebuilt AS r
    FULL JOIN live AS b USING (invoice_id)
)
SELECT row_number() OVER (ORDER BY invoice_id)::integer AS number,
    live_due_minor IS NULL AS missing,
    abs(received_minor) <= 1e18 AND refunded_minor <= 1e18 AS writable,
    invoice_id, live_currency, live_due_minor, live_received_minor, live_refunded_minor, live_voided_at, live_payments,
    live_first_paid_at, live_last_paid_at, events, changes, currency, due_minor, received_minor, refunded_minor,
    voided_at, payments, first_paid_at, last_paid_at
FROM compared
WHERE currency IS NOT NULL
    AND (live_currency, live_due_minor, live_received_minor, live_refunded_minor, live_voided_at, live_payments,
        live_first_paid_at, live_last_paid_at)
    IS DISTINCT FROM
    (currency, due_minor, received_minor, refunded_minor, voided_at, payments, first_paid_at, last_paid_at);

-- name: doubt_payments()#
-- Find the payments that are not simply one event, and those whose one event differs from their row: all that can be
-- wrong is among them, and on most days they are few. Two payments received under one key have two refs.
-- PostgreSQL expects every row to differ, and would not share the work for fear of having to hand so many on.
SET LOCAL parallel_tuple_cost TO '0';
CREATE TEMPORARY TABLE doubtful_payment AS
SELECT DISTINCT coalesce(e.gateway, p.gateway) AS gateway, coalesce(e.payment_id, p.payment_id) AS payment_id
FROM payment_event AS e
FULL JOIN payment AS p ON p.gateway = e.gateway AND p.payment_id = e.payment_id
WHERE e.kind <> 'received'
    OR e.ref <> 'gateway'
    OR (e.invoice_id, e.currency, e.amount_minor, 0)
    IS DISTINCT FROM (p.invoice_id, p.currency, p.received_minor, p.refunded_minor);
SET LOCAL parallel_tuple_cost TO DEFAULT;

-- name: doubt_payments_of_invoice(invoice_id)!
-- Take every payment that has to do with one invoice.
CREATE TEMPORARY TABLE doubtful_payment AS
SELECT gateway, payment_id
FROM payment_event
WHERE invoice_id = :invoice_id
UNION
SELECT gateway, payment_id
FROM payment
WHERE invoice_id = :invoice_id;

-- name: analyse_doubtful_payments()!
-- Let PostgreSQL know how many they are: a handful is looked up, a million is read from end to end.
ANALYZE doubtful_payment;

-- name: compare_payments()!
-- Find those among the doubtful payments that differ.
CREATE TEMPORARY TABLE unlike_payment AS
WITH rebuilt AS (
    SELECT gateway, payment_id,
        (array_agg(e.invoice_id ORDER BY e.kind = 'assigned' DESC, e.position DESC)
            FILTER (WHERE e.kind IN ('received', 'assigned')))[1] AS invoice_id,
        min(e.currency) AS currency,
        coalesce(sum(e.amount_minor) FILTER (WHERE e.kind = 'received'), 0) AS received_minor,
        coalesce(sum(e.amount_minor) FILTER (WHERE e.kind = 'refunded'), 0) AS refunded_minor
    FROM doubtful_payment
    JOIN payment_event AS e USING (gateway, payment_id)
    GROUP BY gateway, payment_id
),
compared AS (
    SELECT d.gateway, d.payment_id, p.received_minor IS NULL AS missing, r.received_minor IS NULL AS surplus,
        p.invoice_id AS live_invoice_id, p.currency AS live_currency, p.received_minor AS live_received_minor,
        p.refunded_minor AS live_refunded_minor, r.invoice_id, r.currency, r.received_minor, r.refunded_minor
    FROM doubtful_payment AS d
    LEFT JOIN rebuilt AS r USING (gateway, payment_id)
    LEFT JOIN payment AS p USING (gateway, payment_id)
)
SELECT row_number() OVER (ORDER BY gateway, payment_id)::integer AS number,
    missing, surplus,
    surplus OR (refunded_minor <= received_minor AND received_minor <= 1e18) AS writable,
    gateway, payment_id, live_invoice_id, live_currency, live_received_minor, live_refunded_minor,
    invoice_id, currency, received_minor, refunded_minor
FROM compared
WHERE (live_invoice_id, live_currency, live_received_minor, live_refunded_minor)
    IS DISTINCT FROM (invoice_id, currency, received_minor, refunded_minor);

-- name: compare_suspense()!
-- Find the suspense balances that differ. One without events is left with zeros.
CREATE TEMPORARY TABLE unlike_suspense AS
WITH summed AS (
    SELECT gateway, currency COLLATE "C" AS currency,
        sum(CASE kind WHEN 'received' THEN amount_minor WHEN 'assigned' THEN amount_minor
            WHEN 'unassigned' THEN -amount_minor ELSE 0 END) AS received_minor,
        sum(CASE kind WHEN 'refunded' THEN amount_minor ELSE 0 END) AS refunded_minor
    FROM payment_event
    WHERE invoice_id IS NULL
    GROUP BY gateway, currency
),
compared AS (
    SELECT gateway, currency, b.received_minor AS live_received_minor, b.refunded_minor AS live_refunded_minor,
        coalesce(s.received_minor, 0) AS received_minor, coalesce(s.refunded_minor, 0) AS refunded_minor
    FROM summed AS s
    FULL JOIN suspense_balance AS b USING (gateway, currency)
)
SELECT row_number() OVER (ORDER BY gateway, currency)::integer AS number,
    abs(received_minor) <= 1e18 AND refunded_minor <= 1e18 AS writable,
    gateway, currency, live_received_minor, live_refunded_minor, received_minor, refunded_minor
FROM compared
WHERE (live_received_minor, live_refunded_minor) IS DISTINCT FROM (received_minor, refunded_minor);

-- name: no_suspense()!
-- Compare no suspense balances: those of one invoice are asked for.
CREATE TEMPORARY TABLE unlike_suspense (
    number integer, writable boolean, gateway text COLLATE "C", currency text COLLATE "C",
    live_received_minor bigint, live_refunded_minor bigint, received_minor numeric, refunded_minor numeric
);

-- name: index_unlike()#
-- Make pages of what differs cheap to find. That numbers are unique is all that PostgreSQL has to know of them.
CREATE UNIQUE INDEX ON unlike_balance (number);
CREATE UNIQUE INDEX ON unlike_payment (number);
CREATE UNIQUE INDEX ON unlike_suspense (number);

-- name: count_unlike()^
-- Count what differs: rows, and columns of them.
SELECT (SELECT count(*) FROM unlike_balance) AS balances,
    (SELECT count(*) FROM unlike_payment) AS payments,
    (SELECT count(*) FROM unlike_suspense) AS suspense;

-- name: balance_differences(after, page)
-- Read which columns of the next unlike balances differ.
SELECT u.number, u.invoice_id AS invoice, NULL AS of, d."column", d.live, d.rebuilt,
    u.live_currency, u.currency AS rebuilt_currency
FROM unlike_balance AS u
CROSS JOIN LATERAL (VALUES
    (1, 'currency', to_jsonb(u.live_currency), to_jsonb(u.currency)),
    (2, 'due', to_jsonb(u.live_due_minor), to_jsonb(u.due_minor)),
    (3, 'received', to_jsonb(u.live_received_minor), to_jsonb(u.received_minor)),
    (4, 'refunded', to_jsonb(u.live_refunded_minor), to_jsonb(u.refunded_minor)),
    (5, 'payments', to_jsonb(u.live_payments), to_jsonb(u.payments)),
    (6, 'firstPaidAt', to_jsonb(u.live_first_paid_at), to_jsonb(u.first_paid_at)),
    (7, 'lastPaidAt', to_jsonb(u.live_last_paid_at), to_jsonb(u.last_paid_at)),
    (8, 'voidedAt', to_jsonb(u.live_voided_at), to_jsonb(u.voided_at))
) AS d (place, "column", live, rebuilt)
WHERE u.number > :after AND u.number <= :after::bigint + :page::bigint AND d.live IS DISTINCT FROM d.rebuilt
ORDER BY u.number, d.place;

-- name: payment_differences(after, page)
-- Read which columns of the next unlike payments differ.
SELECT u.number, coalesce(u.invoice_id, u.live_invoice_id) AS invoice,
    'payment ' || u.gateway || ':' || u.payment_id AS of, d."column", d.live, d.rebuilt,
    u.live_currency, u.currency AS rebuilt_currency
FROM unlike_payment AS u
CROSS JOIN LATERAL (VALUES
    (1, 'invoice', to_jsonb(u.live_invoice_id), to_jsonb(u.invoice_id)),
    (2, 'currency', to_jsonb(u.live_currency), to_jsonb(u.currency)),
    (3, 'received', to_jsonb(u.live_received_minor), to_jsonb(u.received_minor)),
    (4, 'refunded', to_jsonb(u.live_refunded_minor), to_jsonb(u.refunded_minor))
) AS d (place, "column", live, rebuilt)
WHERE u.number > :after AND u.number <= :after::bigint + :page::bigint AND d.live IS DISTINCT FROM d.rebuilt
ORDER BY u.number, d.place;

-- name: suspense_differences(after, page)
-- Read which columns of the next unlike suspense balances differ.
SELECT u.number, NULL AS invoice, 'suspense at ' || u.gateway AS of, d."column", d.live, d.rebuilt,
    u.currency AS live_currency, u.currency AS rebuilt_currency
FROM unlike_suspense AS u
CROSS JOIN LATERAL (VALUES
    (1, 'received', to_jsonb(u.live_received_minor), to_jsonb(u.received_minor)),
    (2, 'refunded', to_jsonb(u.live_refunded_minor), to_jsonb(u.refunded_minor))
) AS d (place, "column", live, rebuilt)
WHERE u.number > :after AND u.number <= :after::bigint + :page::bigint AND d.live IS DISTINCT FROM d.rebuilt
ORDER BY u.number, d.place;

-- name: end_comparison()#
-- Forget what was compared.
DROP TABLE IF EXISTS pg_temp.unlike_balance, pg_temp.doubtful_payment, pg_temp.unlike_payment, pg_temp.unlike_suspense;
