-- Check requests: columns of gateway_invoice. Leases, spacing and back-off use PostgreSQL's clock.

-- name: request_check(id, source, awaited_payment_id, spacing_s, ring_again_s)^
-- Ask for a check of one gateway invoice; the last ten payments that callbacks named are awaited. While a failed one waits for its next attempt the wait stays as it is.
-- "rings" tells whether a worker should be woken, "wait_s" in how long: not while a check runs or a failed one waits, and
-- not when one was woken a moment ago.
UPDATE gateway_invoice SET
    requested = requested + 1,
    request_source = :source,
    awaited_payment_ids = CASE
        WHEN :awaited_payment_id::text IS NULL OR :awaited_payment_id = ANY (awaited_payment_ids) THEN awaited_payment_ids
        ELSE (awaited_payment_ids || :awaited_payment_id::text)[greatest(1, cardinality(awaited_payment_ids) - 8):]
    END,
    awaited_since = CASE
        WHEN :awaited_payment_id::text IS NULL OR :awaited_payment_id = ANY (awaited_payment_ids) THEN awaited_since
        ELSE now()
    END,
    next_check_at = CASE
        WHEN requested > served AND attempts > 0 THEN next_check_at
        WHEN requested > served THEN least(next_check_at, greatest(now(), checked_at + :spacing_s * interval '1 second'))
        ELSE greatest(now(), checked_at + :spacing_s * interval '1 second')
    END,
    rung_at = CASE
        WHEN external_id IS NULL OR lease_until > now() THEN NULL
        WHEN requested > served AND attempts > 0 AND next_check_at > now() THEN NULL
        WHEN requested > served AND rung_at > now() - :ring_again_s * interval '1 second' THEN rung_at
        ELSE now()
    END
WHERE id = :id
RETURNING requested, invoice_id, gateway, generation, rung_at IS NOT DISTINCT FROM now() AS rings,
    greatest(0, extract(epoch FROM next_check_at - now()))::float8 AS wait_s;

-- name: claim_check(id, lease_token, lease_s, retry_base_s, retry_max_s)^
-- Take the check of one gateway invoice, if one is due and nobody holds it. Whoever dies or breaks over it does so once
-- for free; from the second time on the next attempt waits longer and longer behind the lease.
UPDATE gateway_invoice AS g SET
    lease_token = :lease_token,
    lease_until = now() + :lease_s * interval '1 second',
    checked_at = now(),
    attempts = attempts + 1,
    next_check_at = now() + CASE
        WHEN attempts = 0 THEN :lease_s
        ELSE :lease_s + least(:retry_max_s, :retry_base_s * power(2, least(attempts, 60)))
    END * interval '1 second'
FROM invoice_balance AS b
WHERE g.id = :id
    AND b.invoice_id = g.invoice_id
    AND requested > served
    AND external_id IS NOT NULL
    AND next_check_at <= now()
    AND (lease_until IS NULL OR lease_until <= now())
RETURNING g.id, g.invoice_id, g.gateway, g.generation, g.external_id, g.amount_minor, g.currency,
    g.requested, g.request_source, g.attempts,
    CASE WHEN b.voided_at IS NULL AND b.payments = 0 AND b.received_minor = 0 AND b.refunded_minor = 0
        THEN b.due_minor END AS unpaid_minor;

-- name: has_served(id, requested)$
-- Tell whether a check has answered the given request.
SELECT served >= :requested
FROM gateway_invoice
WHERE id = :id;

-- name: fail_check(id, lease_token, delay_s, error)!
-- Write that a check failed and when to try again, if the lease is still its own.
UPDATE gateway_invoice SET
    last_error = :error,
    lease_token = NULL,
    lease_until = NULL,
    rung_at = NULL,
    next_check_at = now() + :delay_s * interval '1 second'
WHERE id = :id AND lease_token = :lease_token;

-- name: put_back_check(id, lease_token, delay_s, why)!
-- Write that a claimed check was not made, if the lease is still its own: the claim's attempt is taken back.
UPDATE gateway_invoice SET
    last_error = :why,
    attempts = greatest(0, attempts - 1),
    lease_token = NULL,
    lease_until = NULL,
    rung_at = NULL,
    next_check_at = now() + :delay_s * interval '1 second'
WHERE id = :id AND lease_token = :lease_token;

-- name: ring_due(page, ring_again_s)
-- Take note that up to a page of due requests is rung now, longest overdue first.
WITH due AS (
    SELECT id
    FROM gateway_invoice
    WHERE requested > served
        AND external_id IS NOT NULL
        AND next_check_at <= now()
        AND (lease_until IS NULL OR lease_until <= now())
        AND (rung_at IS NULL OR rung_at <= now() - :ring_again_s * interval '1 second')
    ORDER BY next_check_at
    LIMIT :page
    FOR UPDATE SKIP LOCKED
)
UPDATE gateway_invoice AS g SET rung_at = now()
FROM due
WHERE g.id = due.id
RETURNING g.id;
