-- Gateway invoices: one QR at one gateway, from the intent to its end.

-- name: read_live(invoice_id, gateway)^
-- Read the one gateway invoice of an invoice at a gateway that is issuing, open or closing.
SELECT g.id, g.state, g.amount_minor, g.currency, g.kept_open, g.expires_at, g.issue_deadline <= now() AS given_up,
    received_on(g.id, g.invoice_id) AS paid_minor
FROM gateway_invoice AS g
WHERE g.invoice_id = :invoice_id AND g.gateway = :gateway AND g.state IN ('issuing', 'open', 'closing');

-- name: next_generation(invoice_id, gateway)$
-- Number the next QR of an invoice at a gateway.
SELECT coalesce(max(generation), 0) + 1
FROM gateway_invoice
WHERE invoice_id = :invoice_id AND gateway = :gateway;

-- name: read_wording(invoice_id)^
-- Read what a gateway shows to the payer.
SELECT description, receiver_code
FROM invoice
WHERE id = :invoice_id;

-- name: insert_intent(id, invoice_id, gateway, generation, number, external_id, amount_minor, currency, issued_at, expires_at, deadline_s)!
-- Write down that a QR is about to be created.
INSERT INTO gateway_invoice (
    id, invoice_id, gateway, generation, number, external_id, amount_minor, currency, state, issued_at, expires_at,
    issue_deadline
)
VALUES (
    :id, :invoice_id, :gateway, :generation, :number, :external_id, :amount_minor, :currency, 'issuing', :issued_at,
    :expires_at, now() + :deadline_s * interval '1 second'
);

-- name: lock_balance_of(id)^
-- Lock the balance of a QR's invoice: whoever changes it either sees the QR open, or is seen by who opens it.
SELECT b.invoice_id
FROM gateway_invoice AS g
JOIN invoice_balance AS b ON b.invoice_id = g.invoice_id
WHERE g.id = :id
FOR UPDATE OF b;

-- name: mark_open(id, external_id, qr_text, qr_image, short_url, links, poll_in_s)^
-- Save what the gateway answered to a create that was not given up; tell whether a callback was faster.
UPDATE gateway_invoice SET
    state = 'open', external_id = :external_id, qr_text = :qr_text, qr_image = :qr_image, short_url = :short_url,
    links = :links::jsonb, next_poll_at = now() + :poll_in_s * interval '1 second'
WHERE id = :id AND state = 'issuing'
RETURNING requested > served AS check_requested;

-- name: keep_open_if_right(id)!
-- Close a QR that was just opened at once where its invoice asks for something else by now; else nothing is owed any more.
WITH wrong AS (
    UPDATE gateway_invoice AS g SET state = 'closing'
    FROM invoice_balance AS b
    WHERE g.id = :id AND g.state = 'open' AND b.invoice_id = g.invoice_id AND b.outstanding_minor <> g.amount_minor
    RETURNING g.id
)
DELETE FROM owed_qr AS o
USING gateway_invoice AS g
WHERE g.id = :id AND o.invoice_id = g.invoice_id AND o.gateway = g.gateway AND NOT EXISTS (SELECT FROM wrong);

-- name: mark_failed(id, failure_code, error)!
-- Write that a QR was not created, or is given up.
UPDATE gateway_invoice SET state = 'failed', failure_code = :failure_code, last_error = :error
WHERE id = :id AND state = 'issuing';

-- name: give_up(id, failure_code, error)!
-- Give a create up that was not answered: failed, or closing where it can be cancelled by our number. Nobody has seen its
-- QR, so it has no text.
UPDATE gateway_invoice SET
    state = CASE WHEN external_id IS NULL THEN 'failed' ELSE 'closing' END,
    qr_text = CASE WHEN external_id IS NOT NULL THEN '' END,
    failure_code = :failure_code,
    last_error = :error
WHERE id = :id AND state = 'issuing';

-- name: give_up_overdue(gateway, page, failure_code, error, deadline_s)!
-- Give up to a page of a gateway's creates up whose time is over and which can be cancelled by our number. A deadline
-- further ahead than there can be was written by a clock that has been set back since.
WITH overdue AS (
    SELECT id
    FROM gateway_invoice
    WHERE gateway = :gateway
        AND state = 'issuing'
        AND external_id IS NOT NULL
        AND (issue_deadline <= now() OR issue_deadline > now() + 2 * :deadline_s * interval '1 second')
    ORDER BY issue_deadline
    LIMIT :page
    FOR UPDATE SKIP LOCKED
)
UPDATE gateway_invoice AS g SET state = 'closing', qr_text = '', failure_code = :failure_code, last_error = :error
FROM overdue
WHERE g.id = overdue.id;

-- name: mark_closing(id)!
-- Let a QR be made unpayable.
UPDATE gateway_invoice SET state = 'closing'
WHERE id = :id AND state = 'open';

-- name: mark_closed(id, state)!
-- Write how the closing of a QR ended.
UPDATE gateway_invoice SET state = :state, close_parked_at = NULL
WHERE id = :id AND state = 'closing';

-- name: state_of(id)$
-- Read the state of a QR.
SELECT state
FROM gateway_invoice
WHERE id = :id;

-- name: mark_kept(id)!
-- Write that the gateway keeps a QR open, and that it is still right.
UPDATE gateway_invoice SET
    state = 'open', kept_open = true,
    next_close_at = NULL, close_attempts = 0, close_failures = 0, close_parked_at = NULL
WHERE id = :id AND state = 'closing';

-- name: gateways()
-- Read at which gateways there are QRs, from an index: one look a gateway.
WITH RECURSIVE found AS (
    (SELECT gateway FROM gateway_invoice ORDER BY gateway LIMIT 1)
    UNION ALL
    SELECT (SELECT g.gateway FROM gateway_invoice AS g WHERE g.gateway > found.gateway ORDER BY g.gateway LIMIT 1)
    FROM found
    WHERE found.gateway IS NOT NULL
)
SELECT gateway
FROM found
WHERE gateway IS NOT NULL;

-- name: take_closing(gateway, page, base_s, max_s)
-- Take note that up to a page of a gateway's closing QRs is tried now, and when each may be tried again: later and later.
-- A wait longer than may be was written by a clock that has been set back since.
WITH due AS (
    SELECT id
    FROM gateway_invoice
    WHERE gateway = :gateway
        AND state = 'closing'
        AND close_parked_at IS NULL
        AND (next_close_at IS NULL OR next_close_at <= now() OR next_close_at > now() + 2 * :max_s * interval '1 second')
    ORDER BY next_close_at NULLS FIRST
    LIMIT :page
    FOR UPDATE SKIP LOCKED
)
UPDATE gateway_invoice AS g SET
    close_attempts = g.close_attempts + 1,
    next_close_at = now() + least(:max_s, :base_s * power(2, least(g.close_attempts, 60))) * interval '1 second'
FROM due
WHERE g.id = due.id
RETURNING g.id;

-- name: is_closing(id)$
-- Tell whether workers are to close a QR.
SELECT state = 'closing' AND close_parked_at IS NULL
FROM gateway_invoice
WHERE id = :id;

-- name: note_close_failure(id, code, reason, tries)$
-- Write that a worker failed to close a QR; it is parked when one failed so often. Tells whether it is.
UPDATE gateway_invoice SET
    close_failures = close_failures + 1,
    close_code = :code,
    close_error = :reason,
    close_parked_at = CASE WHEN close_failures + 1 >= :tries THEN now() END
WHERE id = :id AND state = 'closing' AND close_parked_at IS NULL
RETURNING close_parked_at IS NOT NULL;

-- name: read_paid(id)^
-- Read what has been paid on a QR, and what is outstanding on its invoice.
SELECT g.amount_minor, g.currency, g.expires_at, b.outstanding_minor, received_on(g.id, g.invoice_id) AS paid_minor
FROM gateway_invoice AS g
JOIN invoice_balance AS b ON b.invoice_id = g.invoice_id
WHERE g.id = :id;

-- name: read_gateway_invoice(id)^
-- Read a gateway invoice as a customer needs it.
SELECT g.id, g.invoice_id, g.gateway, g.generation, g.number, g.external_id, g.amount_minor, g.currency, g.state,
    g.qr_text, g.qr_image, g.short_url, g.links, g.expires_at, g.failure_code, g.last_error,
    received_on(g.id, g.invoice_id) AS paid_minor
FROM gateway_invoice AS g
WHERE g.id = :id;
