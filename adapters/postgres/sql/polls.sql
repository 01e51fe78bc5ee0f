-- Polls: which QRs of a gateway without a list are looked at now, and when again.

-- name: read_polls_due(gateway, page)
-- Read up to a page of a gateway's open QRs that are to be looked at now, longest overdue first, with their ages.
SELECT id, next_poll_at, now() - coalesce(opened_at, issued_at) AS age,
    expires_at - coalesce(opened_at, issued_at) AS lifetime
FROM gateway_invoice
WHERE gateway = :gateway AND state = 'open' AND next_poll_at <= now()
ORDER BY next_poll_at
LIMIT :page;

-- name: take_poll(id, seen, next_in_s)$
-- Write when a QR is looked at the next time, if nobody else has since; tell whether a check of it is due anyway.
UPDATE gateway_invoice SET next_poll_at = now() + :next_in_s * interval '1 second'
WHERE id = :id AND next_poll_at = :seen
RETURNING requested > served;
