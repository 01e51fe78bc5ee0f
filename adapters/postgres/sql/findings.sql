-- What can be wrong besides a projection: references, sums, and rules that hold for every history. Runs in the snapshot
-- of a comparison, behind it: a payment that is one event of a gateway is not doubtful and can break no rule.

-- name: find()#
-- Keep every finding, a number each.
DROP TABLE IF EXISTS pg_temp.finding;
CREATE TEMPORARY TABLE finding AS
WITH event_of_doubtful AS (
    SELECT e.gateway, e.payment_id, e.kind, e.ref, e.invoice_id, e.amount_minor, e.currency, e.position
    FROM doubtful_payment
    JOIN payment_event AS e USING (gateway, payment_id)
),
found AS (
    SELECT 'reference' AS problem, e.invoice_id AS invoice, e.gateway || ':' || e.payment_id AS payment,
        NULL AS "column", NULL::numeric AS live, NULL::numeric AS rebuilt, NULL AS currency,
        'the event at position ' || e.position || ' names an invoice that there is not' AS detail
    FROM payment_event AS e
    LEFT JOIN invoice AS i ON i.id = e.invoice_id
    WHERE e.invoice_id IS NOT NULL AND i.id IS NULL
    UNION ALL
    SELECT 'reference', e.invoice_id, e.gateway || ':' || e.payment_id, NULL, NULL, NULL, NULL,
        'the event at position ' || e.position || CASE
            WHEN g.id IS NULL THEN ' names a QR that there is not'
            WHEN g.gateway <> e.gateway THEN ' names a QR of another gateway'
            ELSE ' names a QR of another invoice' END
    FROM payment_event AS e
    LEFT JOIN gateway_invoice AS g ON g.id = e.gateway_invoice_id
    WHERE e.gateway_invoice_id IS NOT NULL
        AND (g.id IS NULL OR g.gateway <> e.gateway OR (e.kind = 'received' AND g.invoice_id <> e.invoice_id))
    UNION ALL
    SELECT 'reference', e.invoice_id, e.gateway || ':' || e.payment_id, NULL, NULL, NULL, NULL,
        'the event at position ' || e.position || ' is in ' || e.currency || ', its invoice in ' || a.currency
    FROM payment_event AS e
    JOIN (
        SELECT DISTINCT ON (invoice_id) invoice_id, currency
        FROM invoice_change
        WHERE kind = 'amount'
        ORDER BY invoice_id, position DESC
    ) AS a ON a.invoice_id = e.invoice_id
    WHERE e.currency <> a.currency
    UNION ALL
    SELECT 'reference', i.id, NULL, NULL, NULL, NULL, NULL, 'the invoice asks for no amount'
    FROM invoice AS i
    WHERE NOT EXISTS (SELECT FROM invoice_change AS c WHERE c.invoice_id = i.id AND c.kind = 'amount')
    UNION ALL
    SELECT 'reference', c.invoice_id, NULL, NULL, NULL, NULL, NULL,
        'the change at position ' || c.position || ' names an invoice that there is not'
    FROM invoice_change AS c
    LEFT JOIN invoice AS i ON i.id = c.invoice_id
    WHERE i.id IS NULL
    UNION ALL
    SELECT 'refunded', NULL, gateway || ':' || payment_id, 'refunded', sum(amount_minor) FILTER (WHERE kind = 'refunded'),
        coalesce(sum(amount_minor) FILTER (WHERE kind = 'received'), 0), min(currency),
        'more was refunded than received'
    FROM event_of_doubtful
    GROUP BY gateway, payment_id
    HAVING sum(amount_minor) FILTER (WHERE kind = 'refunded')
        > coalesce(sum(amount_minor) FILTER (WHERE kind = 'received'), 0)
    UNION ALL
    SELECT 'reference', NULL, gateway || ':' || payment_id, NULL, NULL, NULL, NULL,
        CASE WHEN count(*) FILTER (WHERE kind = 'received') = 0 THEN 'the payment has events and was never received'
            ELSE 'the events of the payment are in several currencies' END
    FROM event_of_doubtful
    GROUP BY gateway, payment_id
    HAVING count(*) FILTER (WHERE kind = 'received') = 0 OR count(DISTINCT currency) > 1
    UNION ALL
    SELECT 'moved', invoice_id, gateway || ':' || payment_id, NULL, NULL, NULL, NULL,
        coalesce('the invoice ' || invoice_id, 'suspense') || ' gave away more of the payment than it ever held'
    FROM event_of_doubtful
    GROUP BY gateway, payment_id, invoice_id
    HAVING sum(CASE WHEN kind IN ('received', 'assigned') THEN amount_minor ELSE -amount_minor END) < 0
    UNION ALL
    SELECT 'moved', NULL, gateway || ':' || payment_id, NULL, NULL, NULL, NULL,
        'what was moved away under the key ' || ref || ' is not what arrived'
    FROM event_of_doubtful
    WHERE kind IN ('unassigned', 'assigned')
    GROUP BY gateway, payment_id, ref
    HAVING sum(CASE kind WHEN 'assigned' THEN amount_minor ELSE -amount_minor END) <> 0
    UNION ALL
    SELECT 'derived', invoice_id, NULL, d."column", d.live, d.rebuilt, currency,
        'the column does not follow from the others of its row'
    FROM invoice_balance
    CROSS JOIN LATERAL (VALUES
        ('net', net_minor, received_minor - refunded_minor),
        ('outstanding', outstanding_minor,
            CASE WHEN voided_at IS NULL THEN greatest(0, due_minor - received_minor) ELSE 0 END),
        ('overpaid', overpaid_minor, greatest(0, received_minor - refunded_minor
            - CASE WHEN voided_at IS NULL THEN due_minor ELSE 0 END))
    ) AS d ("column", live, rebuilt)
    WHERE d.live IS DISTINCT FROM d.rebuilt
    UNION ALL
    SELECT 'derived', invoice_id, NULL, 'status', NULL, NULL, NULL,
        'the status is ' || coalesce(b.status, 'missing') || ' and should be ' || d.status
    FROM invoice_balance AS b
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN voided_at IS NOT NULL THEN 'void'
            WHEN refunded_minor > 0 AND received_minor = refunded_minor THEN 'refunded'
            WHEN received_minor - refunded_minor > due_minor THEN 'overpaid'
            WHEN received_minor - refunded_minor = due_minor THEN 'paid'
            WHEN refunded_minor > 0 THEN 'partially_refunded'
            WHEN received_minor - refunded_minor > 0 THEN 'partially_paid'
            ELSE 'unpaid' END AS status
    ) AS d
    WHERE b.status IS DISTINCT FROM d.status
    UNION ALL
    SELECT 'derived', NULL, 'suspense at ' || gateway, 'net', net_minor, received_minor - refunded_minor, currency,
        'the column does not follow from the others of its row'
    FROM suspense_balance
    WHERE net_minor IS DISTINCT FROM received_minor - refunded_minor
    UNION ALL
    SELECT 'sum', NULL, gateway, d."column", d.live, d.rebuilt, currency,
        'all payments at the gateway together are not what the events come to'
    FROM (
        SELECT gateway, currency COLLATE "C" AS currency,
            coalesce(sum(amount_minor) FILTER (WHERE kind = 'received'), 0) AS received_minor,
            coalesce(sum(amount_minor) FILTER (WHERE kind = 'refunded'), 0) AS refunded_minor
        FROM payment_event
        GROUP BY gateway, currency COLLATE "C"
    ) AS e
    FULL JOIN (
        SELECT gateway, currency COLLATE "C" AS currency, sum(received_minor) AS received_minor,
            sum(refunded_minor) AS refunded_minor
        FROM payment
        GROUP BY gateway, currency COLLATE "C"
    ) AS p USING (gateway, currency)
    CROSS JOIN LATERAL (VALUES
        ('received', p.received_minor, e.received_minor), ('refunded', p.refunded_minor, e.refunded_minor)
    ) AS d ("column", live, rebuilt)
    WHERE d.live IS DISTINCT FROM d.rebuilt
    UNION ALL
    SELECT 'sum', NULL, NULL, 'net', b.net_minor, e.net_minor, currency,
        'all invoices and suspense together are not what was received and not refunded'
    FROM (
        SELECT currency COLLATE "C" AS currency,
            sum(CASE kind WHEN 'received' THEN amount_minor WHEN 'refunded' THEN -amount_minor ELSE 0 END) AS net_minor
        FROM payment_event
        GROUP BY currency COLLATE "C"
    ) AS e
    FULL JOIN (
        SELECT currency, sum(net_minor) AS net_minor
        FROM (
            SELECT currency COLLATE "C" AS currency, net_minor FROM invoice_balance
            UNION ALL
            SELECT currency, net_minor FROM suspense_balance
        ) AS held
        GROUP BY currency
    ) AS b USING (currency)
    WHERE coalesce(b.net_minor, 0) <> coalesce(e.net_minor, 0)
)
SELECT row_number() OVER (ORDER BY problem, invoice, payment, "column", detail)::integer AS number,
    problem, invoice, payment, "column", live, rebuilt, currency, detail
FROM found;
CREATE UNIQUE INDEX ON finding (number);

-- name: sums()
-- Read what the events of each gateway and currency come to, and how much of it is in suspense.
SELECT gateway, currency COLLATE "C" AS currency, count(*) AS events,
    coalesce(sum(amount_minor) FILTER (WHERE kind = 'received'), 0) AS received_minor,
    coalesce(sum(amount_minor) FILTER (WHERE kind = 'refunded'), 0) AS refunded_minor,
    coalesce(sum(CASE WHEN kind IN ('received', 'assigned') THEN amount_minor ELSE -amount_minor END)
        FILTER (WHERE invoice_id IS NULL), 0) AS suspense_minor
FROM payment_event
GROUP BY gateway, currency COLLATE "C"
ORDER BY gateway, currency COLLATE "C";

-- name: count_findings()$
-- Count the findings.
SELECT count(*) FROM finding;

-- name: findings(after, page)
-- Read the next findings.
SELECT number, problem, invoice, payment, "column", live, rebuilt, currency, detail
FROM finding
WHERE number > :after AND number <= :after::bigint + :page::bigint
ORDER BY number;

-- name: forget_findings()#
-- Forget what was found.
DROP TABLE IF EXISTS pg_temp.finding;
