-- Reconciliations: what is recorded of a gateway's payments, day by day, and what comparing it with their list came to.

-- name: on_record(gateway, payment_ids)
-- Read what the events of these payments come to. "paid_at" is the time that tells the day of a payment.
SELECT e.payment_id,
    min(e.currency) AS currency,
    sum(e.amount_minor) FILTER (WHERE e.kind = 'received') AS received_minor,
    coalesce(sum(e.amount_minor) FILTER (WHERE e.kind = 'refunded'), 0) AS refunded_minor,
    coalesce(sum(e.amount_minor) FILTER (WHERE e.kind = 'refunded' AND e.ref LIKE 'gateway%%'), 0) AS refunded_by_gateway_minor,
    coalesce(sum(CASE WHEN e.kind IN ('received', 'assigned') THEN e.amount_minor ELSE -e.amount_minor END)
        FILTER (WHERE e.invoice_id IS NULL), 0) AS in_suspense_minor,
    min(e.fee_minor) FILTER (WHERE e.kind = 'received') AS fee_minor,
    min(p.invoice_id) AS invoice_id,
    (array_agg(e.gateway_invoice_id ORDER BY e.position DESC) FILTER (WHERE e.gateway_invoice_id IS NOT NULL))[1]
        AS gateway_invoice_id,
    min(g.issued_at) AS issued_at,
    min(e.occurred_at) FILTER (WHERE e.kind = 'received') AS occurred_at,
    min(e.occurred_at_source) FILTER (WHERE e.kind = 'received') AS occurred_at_source,
    coalesce(min(d.paid_at), min(e.occurred_at) FILTER (WHERE e.kind = 'received')) AS paid_at
FROM payment_event AS e
LEFT JOIN payment AS p ON p.gateway = e.gateway AND p.payment_id = e.payment_id
LEFT JOIN payment_day AS d ON d.gateway = e.gateway AND d.payment_id = e.payment_id
LEFT JOIN gateway_invoice AS g ON g.id = e.gateway_invoice_id
WHERE e.gateway = :gateway AND e.payment_id = ANY (:payment_ids::text[])
GROUP BY e.payment_id
HAVING count(*) FILTER (WHERE e.kind = 'received') > 0;

-- name: ids_on_day(gateway, since, until, recorded_before, after, page)
-- Read up to a page of the payments of a day behind an id, in id order, that were recorded before a time. Their day is the
-- one that a list has told, else the one that they were recorded with.
SELECT seen.payment_id
FROM (
    SELECT e.payment_id
    FROM payment_event AS e
    LEFT JOIN payment_day AS d ON d.gateway = e.gateway AND d.payment_id = e.payment_id
    WHERE e.gateway = :gateway AND e.kind = 'received' AND e.occurred_at >= :since AND e.occurred_at < :until
        AND e.recorded_at < :recorded_before
        AND (d.paid_at IS NULL OR (d.paid_at >= :since AND d.paid_at < :until))
    UNION
    SELECT d.payment_id
    FROM payment_day AS d
    JOIN payment_event AS e ON e.gateway = d.gateway AND e.payment_id = d.payment_id AND e.kind = 'received'
    WHERE d.gateway = :gateway AND d.paid_at >= :since AND d.paid_at < :until AND e.recorded_at < :recorded_before
) AS seen
WHERE seen.payment_id > :after
ORDER BY seen.payment_id
LIMIT :page;

-- name: learn_days(gateway, payment_ids, paid_at)!
-- Write when payments were paid that were recorded with another day.
INSERT INTO payment_day AS d (gateway, payment_id, paid_at)
SELECT :gateway, told.payment_id, told.paid_at
FROM unnest(:payment_ids::text[], :paid_at::timestamptz[]) AS told (payment_id, paid_at)
ORDER BY told.payment_id
ON CONFLICT (gateway, payment_id) DO UPDATE SET paid_at = excluded.paid_at
WHERE d.paid_at <> excluded.paid_at;

-- name: questions_about(gateway, kinds, subjects)
-- Read the questions of some kinds about some subjects that are still questions, or were answered.
SELECT id, kind, subject, fingerprint, state
FROM discrepancy
WHERE gateway = :gateway AND kind = ANY (:kinds::text[]) AND subject = ANY (:subjects::text[]) AND state <> 'withdrawn'
ORDER BY id;

-- name: gateways_with_payments(since, until)
-- Read which gateways have payments with a time in a window.
SELECT DISTINCT gateway
FROM payment_event
WHERE kind = 'received' AND occurred_at >= :since AND occurred_at < :until;

-- name: figures_on_day(gateway, since, until)
-- Sum what is recorded of a gateway's payments with a time in a window, by currency.
SELECT r.currency, count(*) AS count, sum(r.amount_minor) AS gross_minor, coalesce(sum(r.fee_minor), 0) AS fee_minor,
    count(*) FILTER (WHERE r.fee_minor IS NULL) AS fees_unknown,
    coalesce(sum(p.refunded_minor), 0) AS refunded_minor
FROM payment_event AS r
LEFT JOIN payment AS p ON p.gateway = r.gateway AND p.payment_id = r.payment_id
WHERE r.gateway = :gateway AND r.kind = 'received' AND r.occurred_at >= :since AND r.occurred_at < :until
GROUP BY r.currency
ORDER BY r.currency;

-- name: first_issued_at(gateway)$
-- Read when the first QR of a gateway was issued; null when there is none.
SELECT min(issued_at)
FROM gateway_invoice
WHERE gateway = :gateway;

-- name: save_run(gateway, day, night, began_at, ended_at, list_calls, listed_rows, verdicts, figures, open, state)$
-- Write what a comparison came to.
INSERT INTO reconciliation_run (gateway, day, night, began_at, ended_at, list_calls, listed_rows, verdicts, figures, open, state)
VALUES (:gateway, :day, :night, :began_at, :ended_at, :list_calls, :listed_rows, :verdicts::jsonb, :figures::jsonb, :open, :state)
RETURNING id;

-- name: lock_day(gateway, day)
-- Let one comparison of a day at a time be written, until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('reconciliation_run ' || :gateway), (:day::date - DATE '2000-01-01')::integer);

-- name: last_clean(gateway, day)^
-- Read the last comparison of a day that left nothing open; none when none ever did.
SELECT id, state
FROM reconciliation_run
WHERE gateway = :gateway AND day = :day AND open = 0
ORDER BY id DESC
LIMIT 1;

-- name: compared(gateway, first, last, night)
-- Read of each day in a range when its last comparison began, whether any was made in a night, and what that took.
SELECT day, max(began_at) AS began_at, coalesce(bool_or(night = :night), false) AS tonight,
    coalesce(sum(list_calls) FILTER (WHERE night = :night), 0) AS calls_tonight
FROM reconciliation_run
WHERE gateway = :gateway AND day BETWEEN :first AND :last
GROUP BY day;

-- name: forget_runs(keep_days, page)!
-- Remove a page of comparisons that were made long ago.
DELETE FROM reconciliation_run
WHERE id IN (
    SELECT id FROM reconciliation_run
    WHERE began_at < now() - :keep_days * interval '1 day'
    ORDER BY id
    LIMIT :page
);
