-- QRs that expire, and invoices that are owed one. What is due goes by PostgreSQL's clock, what expires by the caller's.

-- name: count_expiring(gateway, until)$
-- Count a gateway's open QRs that expire by then.
SELECT count(*)
FROM gateway_invoice
WHERE gateway = :gateway AND state = 'open' AND expires_at <= :until;

-- name: read_expiring(gateway, until, after, after_id, page)
-- Read a page of a gateway's open QRs that expire by then, those that expire first, behind the last one of the page before.
SELECT g.id, g.invoice_id, g.gateway, g.issued_at, g.expires_at, g.kept_open, b.outstanding_minor, b.currency,
    coalesce(i.due_at, i.created_at) AS owing_since
FROM gateway_invoice AS g
JOIN invoice AS i ON i.id = g.invoice_id
JOIN invoice_balance AS b ON b.invoice_id = g.invoice_id
WHERE g.gateway = :gateway
    AND g.state = 'open'
    AND g.expires_at <= :until
    AND (g.expires_at, g.id) > (:after::timestamptz, :after_id::uuid)
ORDER BY g.expires_at, g.id
LIMIT :page;

-- name: read_open(id)^
-- Read one open QR the same way.
SELECT g.id, g.invoice_id, g.gateway, g.issued_at, g.expires_at, g.kept_open, b.outstanding_minor, b.currency,
    coalesce(i.due_at, i.created_at) AS owing_since
FROM gateway_invoice AS g
JOIN invoice AS i ON i.id = g.invoice_id
JOIN invoice_balance AS b ON b.invoice_id = g.invoice_id
WHERE g.id = :id AND g.state = 'open';

-- name: begin_closing(id, close_again_s, owed)$
-- Let an open QR be made unpayable by the caller, and by workers if that is not done soon; with it write down that its
-- invoice is owed another one.
WITH closing AS (
    UPDATE gateway_invoice SET
        state = 'closing',
        next_close_at = now() + :close_again_s * interval '1 second',
        close_attempts = 1
    WHERE id = :id AND state = 'open'
    RETURNING id, invoice_id, gateway
),
owing AS (
    INSERT INTO owed_qr (invoice_id, gateway, owed_since, next_try_at)
    SELECT invoice_id, gateway, now(), now()
    FROM closing
    WHERE :owed
    ON CONFLICT (invoice_id, gateway) DO UPDATE SET
        owed_since = now(), next_try_at = now(), failures = 0, last_error = NULL
)
SELECT id
FROM closing;

-- name: count_owed(gateway)$
-- Count the invoices that are owed a QR at a gateway and whose time it is.
SELECT count(*)
FROM owed_qr
WHERE gateway = :gateway AND next_try_at <= now();

-- name: read_owed(gateway, after, page)
-- Read a page of the invoices that are owed a QR at a gateway and whose time it is, behind the last one of the page
-- before; and what stands in the way: a QR that is still closing, or a create of which nobody knows the outcome and which is not given up.
SELECT o.invoice_id, o.gateway, g.id AS closing_id, b.outstanding_minor, b.currency,
    coalesce(i.due_at, i.created_at) AS owing_since,
    EXISTS (
        SELECT FROM gateway_invoice AS made
        WHERE made.invoice_id = o.invoice_id AND made.gateway = o.gateway
            AND made.state = 'issuing' AND made.issue_deadline > now()
    ) AS being_made
FROM owed_qr AS o
JOIN invoice AS i ON i.id = o.invoice_id
JOIN invoice_balance AS b ON b.invoice_id = o.invoice_id
LEFT JOIN gateway_invoice AS g ON g.invoice_id = o.invoice_id AND g.gateway = o.gateway AND g.state = 'closing'
WHERE o.gateway = :gateway AND o.next_try_at <= now() AND o.invoice_id > :after
ORDER BY o.invoice_id
LIMIT :page;

-- name: count_owed_soon(within_s)$
-- Count the invoices that are owed a QR and whose time it is soon.
SELECT count(*)
FROM owed_qr
WHERE next_try_at <= now() + :within_s * interval '1 second';

-- name: note_failure(invoice_id, gateway, reason, wait_s, wait_max_s)!
-- Write that an invoice could not be given its next QR, and when it is tried again: later and later.
UPDATE owed_qr SET
    failures = failures + 1,
    last_error = :reason,
    next_try_at = now() + least(:wait_max_s, :wait_s * power(2, least(failures, 30))) * interval '1 second'
WHERE invoice_id = :invoice_id AND gateway = :gateway;

-- name: forgive(invoice_id, gateway)!
-- Let an invoice be owed no QR.
DELETE FROM owed_qr
WHERE invoice_id = :invoice_id AND gateway = :gateway;
