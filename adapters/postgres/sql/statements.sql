-- Lines of statements that are kept: what is known of them, and what becomes of them.

-- name: notice_a_dead_decider()#
-- Let the server end this session soon after its client was killed, and with it the lock.
SET client_connection_check_interval TO '2s';

-- name: decide_alone(lock)$
-- Wait until nobody else decides about lines; the lock ends with the session.
SELECT pg_advisory_lock(:lock);

-- name: let_others_decide(lock)$
-- Let the next one decide.
SELECT pg_advisory_unlock(:lock);

-- name: open_lines(states, after, page)
-- Read lines in some of the states in which they wait, in the order of their ids, with what their events keep of them. The
-- states are named as well, so that the index of those that wait is found whatever is asked for. No more are joined than
-- are asked for, however many wait.
SELECT l.id, l.key, l.amount_minor, l.currency, l.posted_at, l.timed, l.description, l.counterparty_account,
    l.counterparty_name, l.reference, l.bank, l.raw
FROM (
    SELECT line_id
    FROM statement_outcome
    WHERE state IN ('new', 'proposed', 'unmatched') AND state = ANY (:states::text[]) AND line_id > :after
        AND (why IS NULL OR why NOT IN ('correction', 'changed_line'))
    ORDER BY line_id
    LIMIT :page
) AS o
JOIN statement_line AS l ON l.id = o.line_id
ORDER BY o.line_id;

-- name: still_open(states, first, last)
-- Read which lines of a range of ids would still be read.
SELECT line_id
FROM statement_outcome
WHERE state IN ('new', 'proposed', 'unmatched') AND state = ANY (:states::text[]) AND line_id BETWEEN :first AND :last
    AND (why IS NULL OR why NOT IN ('correction', 'changed_line'));

-- name: count_open(states)$
-- Count them.
SELECT count(*)
FROM statement_outcome
WHERE state IN ('new', 'proposed', 'unmatched') AND state = ANY (:states::text[])
    AND (why IS NULL OR why NOT IN ('correction', 'changed_line'));

-- name: read_raw(id)^
-- Read what the event of a line keeps of it.
SELECT id AS line, bank, raw AS row
FROM statement_line
WHERE id = :id;

-- name: recorded_lines(keys)
-- Read which lines have an event, and where.
SELECT payment_id, invoice_id
FROM payment_event
WHERE gateway = 'bank' AND kind = 'received'
    AND payment_id = ANY (ARRAY(SELECT jsonb_array_elements_text(:keys::jsonb)));

-- name: invoices_named(references_)
-- Read the invoices that folded references name.
SELECT upper(replace(i.id, '-', '')) AS reference, i.id, b.currency, b.outstanding_minor, b.voided_at IS NOT NULL AS voided
FROM invoice AS i
JOIN invoice_balance AS b ON b.invoice_id = i.id
WHERE upper(replace(i.id, '-', '')) = ANY (ARRAY(SELECT jsonb_array_elements_text(:references_::jsonb)));

-- name: payments_on(invoice_ids)
-- Read the payments of gateways and people that invoices have had something of: first what they have had, then the
-- payments of it. The other way round all payments would be read for each batch.
SELECT here.invoice_id, r.gateway, r.payment_id, r.amount_minor, r.currency, r.fee_minor, r.occurred_at,
    CASE WHEN r.source = 'manual' THEN r.raw ->> 'reference' END AS reference,
    r.source = 'manual' AND r.raw ->> 'method' = 'cash' AS in_cash,
    EXISTS (
        SELECT FROM statement_outcome AS o
        WHERE o.gateway = r.gateway AND o.payment_id = r.payment_id AND o.state = 'linked'
    ) AS linked
FROM (
    SELECT DISTINCT e.invoice_id, e.gateway, e.payment_id
    FROM payment_event AS e
    WHERE e.invoice_id = ANY (ARRAY(SELECT jsonb_array_elements_text(:invoice_ids::jsonb)))
        AND e.kind IN ('received', 'assigned') AND e.gateway <> 'bank'
) AS here
JOIN payment_event AS r ON r.gateway = here.gateway AND r.payment_id = here.payment_id AND r.kind = 'received';

-- name: payments_near(since, until, amounts)
-- Read the payments of gateways and people in a time that may have come to the account as one of some amounts.
SELECT r.gateway, r.payment_id, r.amount_minor, r.currency, r.fee_minor, r.occurred_at,
    CASE WHEN r.source = 'manual' THEN r.raw ->> 'reference' END AS reference,
    r.source = 'manual' AND r.raw ->> 'method' = 'cash' AS in_cash,
    ARRAY(
        SELECT DISTINCT e.invoice_id
        FROM payment_event AS e
        WHERE e.gateway = r.gateway AND e.payment_id = r.payment_id AND e.kind IN ('received', 'assigned')
            AND e.invoice_id IS NOT NULL
    ) AS invoice_ids
FROM payment_event AS r
WHERE r.kind = 'received' AND r.gateway <> 'bank' AND r.occurred_at BETWEEN :since AND :until
    AND (r.amount_minor IN (SELECT unnest(:amounts::bigint[]))
        OR (r.fee_minor <> 0 AND r.amount_minor - r.fee_minor IN (SELECT unnest(:amounts::bigint[]))))
    AND NOT EXISTS (
        SELECT FROM statement_outcome AS o
        WHERE o.gateway = r.gateway AND o.payment_id = r.payment_id AND o.state = 'linked'
    );

-- name: invoices_of_payers(asked)
-- Read, for lines, the invoices that lack exactly the amount, of receivers that the line names or that paid from the same
-- account before; a few each.
SELECT asked.id AS line_id, found.id AS invoice_id
FROM jsonb_to_recordset(:asked::jsonb) AS asked (
    id bigint, account text, words text[], amount_minor bigint, currency text
)
CROSS JOIN LATERAL (
    SELECT i.id
    FROM (
        SELECT upper(paid.receiver_code) AS receiver
        FROM (
            SELECT l.id
            FROM statement_line AS l
            WHERE l.counterparty_account = asked.account AND l.direction = 'credit'
            ORDER BY l.id DESC
            LIMIT 50
        ) AS before
        JOIN statement_outcome AS o ON o.line_id = before.id AND o.state = 'recorded'
        JOIN invoice AS paid ON paid.id = o.invoice_id
        WHERE paid.receiver_code <> 'terminal'
        UNION
        SELECT unnest(asked.words)
    ) AS payer
    JOIN invoice AS i ON upper(i.receiver_code) = payer.receiver AND i.receiver_code <> 'terminal'
    JOIN invoice_balance AS b ON b.invoice_id = i.id
    WHERE b.outstanding_minor = asked.amount_minor AND b.currency = asked.currency AND b.voided_at IS NULL
    ORDER BY i.id
    LIMIT 5
) AS found;

-- name: decide(decided, line_ids, states, now)$
-- Write what became of lines that are still in one of some states; returns how many. Their ids are told once more, so that
-- the lines are found by them, however many wait.
WITH decided AS (
    UPDATE statement_outcome AS o SET
        state = d.state, why = d.why, invoice_id = d.invoice_id, gateway = d.gateway, payment_id = d.payment_id,
        candidates = d.candidates, who = d.who, reason = d.reason, decided_at = :now,
        history = CASE WHEN o.who IS NULL THEN o.history ELSE o.history || jsonb_build_object(
            'state', o.state, 'who', o.who, 'reason', o.reason, 'decided_at', o.decided_at) END
    FROM jsonb_to_recordset(:decided::jsonb) AS d (
        line_id bigint, state text, why text, invoice_id text, gateway text, payment_id text, candidates text[],
        who text, reason text
    )
    WHERE o.line_id = d.line_id AND o.line_id = ANY (:line_ids::bigint[]) AND o.state = ANY (:states::text[])
        AND (o.state, o.why, o.invoice_id, o.gateway, o.payment_id, o.candidates, o.who, o.reason)
            IS DISTINCT FROM (d.state, d.why, d.invoice_id, d.gateway, d.payment_id, d.candidates, d.who, d.reason)
    RETURNING o.line_id
)
SELECT count(*) FROM decided;

-- name: list_lines(states, after, page)
-- Read lines with what became of them, in the order of their ids.
SELECT l.id, l.key, l.bank, l.account, l.posted_on, l.posted_at, l.timed, l.direction, l.amount_minor, l.currency,
    l.balance_minor, l.description, l.counterparty_account, l.counterparty_name, l.reference, l.correction,
    i.file_name, l.number, o.state, o.why, o.invoice_id, o.gateway, o.payment_id, o.candidates, o.who, o.reason,
    o.decided_at
FROM statement_outcome AS o
JOIN statement_line AS l ON l.id = o.line_id
JOIN statement_import AS i ON i.id = l.import_id
WHERE o.state = ANY (:states::text[]) AND o.line_id > :after
ORDER BY o.line_id
LIMIT :page;

-- name: list_waiting(states, after, page)
-- Read lines that wait with what became of them, in the order of their ids.
SELECT l.id, l.key, l.bank, l.account, l.posted_on, l.posted_at, l.timed, l.direction, l.amount_minor, l.currency,
    l.balance_minor, l.description, l.counterparty_account, l.counterparty_name, l.reference, l.correction,
    i.file_name, l.number, o.state, o.why, o.invoice_id, o.gateway, o.payment_id, o.candidates, o.who, o.reason,
    o.decided_at
FROM statement_outcome AS o
JOIN statement_line AS l ON l.id = o.line_id
JOIN statement_import AS i ON i.id = l.import_id
WHERE o.state IN ('new', 'proposed', 'unmatched') AND o.state = ANY (:states::text[]) AND o.line_id > :after
ORDER BY o.line_id
LIMIT :page;

-- name: read_line(id)^
-- Read one line with what became of it.
SELECT l.id, l.key, l.bank, l.account, l.posted_on, l.posted_at, l.timed, l.direction, l.amount_minor, l.currency,
    l.balance_minor, l.description, l.counterparty_account, l.counterparty_name, l.reference, l.correction,
    i.file_name, l.number, o.state, o.why, o.invoice_id, o.gateway, o.payment_id, o.candidates, o.who, o.reason,
    o.decided_at
FROM statement_line AS l
JOIN statement_outcome AS o ON o.line_id = l.id
JOIN statement_import AS i ON i.id = l.import_id
WHERE l.id = :id;

-- name: line_of_payment(gateway, payment_id)$
-- Read which line is linked with a payment; null when none is.
SELECT line_id
FROM statement_outcome
WHERE gateway = :gateway AND payment_id = :payment_id AND state = 'linked';

-- name: payment_received(gateway, payment_id)^
-- Read the payment of a gateway or a person that a line may be the settlement of.
SELECT r.gateway, r.payment_id, r.amount_minor, r.currency, r.fee_minor, r.occurred_at, NULL AS reference, false AS in_cash,
    ARRAY[r.invoice_id] AS invoice_ids, false AS linked
FROM payment_event AS r
WHERE r.gateway = :gateway AND r.payment_id = :payment_id AND r.kind = 'received';
