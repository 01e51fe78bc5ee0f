-- Check requests: columns of gateway_invoice. Leases, spacing and back-off use PostgreSQL's clock.

-- name: request_check(id, source, awaited_payment_id, spacing_s, ring_again_s, parked_look_s)^
-- Ask for a check of one gateway invoice; the last ten payments that callbacks named are awaited. While a failed one waits for its next attempt the wait stays as it is.
-- "rings" tells whether a worker should be woken, "wait_s" in how long: not while a check runs or a failed one waits, and
-- not when one was woken a moment ago. One that is parked stays so, with what was asked kept for later; but when it has
-- been for long it earns one look, after which it is parked again if that fails: attempts and deaths stay. A callback is counted
-- in the same statement, so that whoever acknowledges it has both; the row's lock lets those that come at once count one
-- after the other.
WITH asked AS (
    UPDATE gateway_invoice SET
        parked_at = CASE WHEN parked_at > now() - :parked_look_s * interval '1 second' THEN parked_at END,
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
        -- A check further ahead was written by a clock that has been set back since.
        next_check_at = CASE
            WHEN parked_at <= now() - :parked_look_s * interval '1 second' THEN now()
            WHEN requested > served AND attempts > 0 THEN next_check_at
            WHEN requested > served THEN least(next_check_at, greatest(now(), (CASE WHEN checked_at < now() + interval '1 minute' THEN checked_at END) + :spacing_s * interval '1 second'))
            ELSE greatest(now(), (CASE WHEN checked_at < now() + interval '1 minute' THEN checked_at END) + :spacing_s * interval '1 second')
        END,
        rung_at = CASE
            WHEN external_id IS NULL OR lease_until > now() THEN NULL
            WHEN parked_at > now() - :parked_look_s * interval '1 second' THEN NULL
            WHEN parked_at IS NOT NULL THEN now()
            WHEN requested > served AND attempts > 0 AND next_check_at > now() THEN NULL
            WHEN requested > served AND rung_at > now() - :ring_again_s * interval '1 second' THEN rung_at
            ELSE now()
        END
    WHERE id = :id
    RETURNING id, requested, invoice_id, gateway, generation, rung_at IS NOT DISTINCT FROM now() AS rings,
        greatest(0, extract(epoch FROM next_check_at - now()))::float8 AS wait_s
),
counted AS (
    INSERT INTO callback (gateway_invoice_id, first_at, last_at, count, announced)
    SELECT id, now(), now(), 1, left(:awaited_payment_id::text, 100)
    FROM asked
    WHERE :source::text = 'callback'
    ON CONFLICT (gateway_invoice_id) DO UPDATE SET
        first_at = least(callback.first_at, excluded.first_at),
        last_at = greatest(callback.last_at, excluded.last_at),
        count = callback.count + 1,
        announced = coalesce(excluded.announced, callback.announced)
)
SELECT requested, invoice_id, gateway, generation, rings, wait_s
FROM asked;

-- name: id_of_number(gateway, number)$
-- Find a gateway invoice by its number at its gateway.
SELECT id
FROM gateway_invoice
WHERE gateway = :gateway AND number = :number;

-- name: claim_check(id, lease_token, lease_s, retry_base_s, retry_max_s, deaths_max)^
-- Take the check of one gateway invoice, if one is due and nobody holds it. Whoever dies over it does so once for free;
-- from the second time on the next attempt waits longer and longer behind the lease. A token that is still there is a
-- holder's who never came back; when as many did in a row as may, the check is parked instead: "parked". That the
-- check began is written down with it: one whose holder dies is seen as never finished.
WITH claimed AS (
    UPDATE gateway_invoice SET
        deaths = CASE WHEN attempts = 0 THEN 0 ELSE deaths + (lease_token IS NOT NULL)::integer END,
        parked_at = CASE WHEN lease_token IS NOT NULL AND attempts > 0 AND deaths + 1 >= :deaths_max THEN now() END,
        parked_code = CASE
            WHEN lease_token IS NOT NULL AND attempts > 0 AND deaths + 1 >= :deaths_max THEN NULL ELSE parked_code
        END,
        parked_reason = CASE
            WHEN lease_token IS NOT NULL AND attempts > 0 AND deaths + 1 >= :deaths_max
                THEN format('%%s workers in a row began this check and did not come back', deaths + 1)
            ELSE parked_reason
        END,
        lease_token = CASE
            WHEN lease_token IS NOT NULL AND attempts > 0 AND deaths + 1 >= :deaths_max THEN NULL ELSE :lease_token::uuid
        END,
        lease_until = CASE
            WHEN lease_token IS NOT NULL AND attempts > 0 AND deaths + 1 >= :deaths_max THEN NULL
            ELSE now() + :lease_s * interval '1 second'
        END,
        checked_at = now(),
        attempts = attempts + 1,
        next_check_at = now() + CASE
            WHEN attempts = 0 THEN :lease_s
            ELSE :lease_s + least(:retry_max_s, :retry_base_s * power(2, least(attempts, 60)))
        END * interval '1 second'
    WHERE id = :id
        AND requested > served
        AND external_id IS NOT NULL
        AND parked_at IS NULL
        AND next_check_at <= now()
        AND (lease_until IS NULL OR lease_until <= now())
    RETURNING id, invoice_id, gateway, generation, number, external_id, amount_minor, currency, requested, served, request_source, attempts,
        state, qr_text, awaited_since, checked_at, parked_at IS NOT NULL AS parked
),
begun AS (
    INSERT INTO gateway_check (
        gateway_invoice_id, started_at, cause, gateway_invoice_state, requests, attempt, awaited_since
    )
    SELECT id, checked_at, request_source, state, requested - served, attempts, awaited_since
    FROM claimed
    WHERE NOT parked
    RETURNING id
)
SELECT g.id, g.invoice_id, g.gateway, g.generation, g.number, g.external_id, g.amount_minor, g.currency, g.requested,
    g.request_source, g.attempts, g.parked, g.served > 0 AS answered_before,
    g.state = 'closing' OR coalesce(g.qr_text, '') = '' AS may_be_unknown, begun.id AS check_id,
    CASE
        WHEN b.voided_at IS NULL AND b.payments = 0 AND b.received_minor = 0 AND b.refunded_minor = 0
            AND NOT EXISTS (SELECT FROM payment_event AS e WHERE e.gateway_invoice_id = g.id AND e.invoice_id IS NULL)
            THEN b.due_minor
    END AS unpaid_minor
FROM claimed AS g
LEFT JOIN begun ON true
LEFT JOIN invoice_balance AS b ON b.invoice_id = g.invoice_id;

-- name: has_served(id, requested)$
-- Tell whether a check has answered the given request.
SELECT served >= :requested
FROM gateway_invoice
WHERE id = :id;

-- name: fail_check(id, lease_token, delay_s, error)!
-- Write that a check failed and when to try again, if the lease is still its own.
UPDATE gateway_invoice SET
    last_error = :error,
    deaths = 0,
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
    deaths = 0,
    lease_token = NULL,
    lease_until = NULL,
    rung_at = NULL,
    next_check_at = now() + :delay_s * interval '1 second'
WHERE id = :id AND lease_token = :lease_token;

-- name: release_check(id, lease_token)!
-- Let a check be made by another at once, if the lease is still its own; the attempt does not count.
UPDATE gateway_invoice SET
    attempts = attempts - 1,
    lease_token = NULL,
    lease_until = NULL,
    rung_at = NULL,
    next_check_at = now()
WHERE id = :id AND lease_token = :lease_token;

-- name: park_check(id, lease_token, code, reason)!
-- Write that a check failed once too often, if the lease is still its own. What was asked for stays asked for.
UPDATE gateway_invoice SET
    parked_at = now(),
    parked_code = :code,
    parked_reason = :reason,
    last_error = :reason,
    deaths = 0,
    lease_token = NULL,
    lease_until = NULL,
    rung_at = NULL
WHERE id = :id AND lease_token = :lease_token;

-- name: ring_due(gateway, page, ring_again_s)
-- Take note that up to a page of a gateway's due requests is rung now, longest overdue first.
WITH due AS (
    SELECT id
    FROM gateway_invoice
    WHERE gateway = :gateway
        AND requested > served
        AND external_id IS NOT NULL
        AND parked_at IS NULL
        AND next_check_at <= now()
        AND (lease_until IS NULL OR lease_until <= now())
        AND (rung_at IS NULL OR rung_at <= now() - :ring_again_s * interval '1 second' OR rung_at > now())
    ORDER BY next_check_at
    LIMIT :page
    FOR UPDATE SKIP LOCKED
)
UPDATE gateway_invoice AS g SET rung_at = now()
FROM due
WHERE g.id = due.id
RETURNING g.id;

-- name: mend_waits(gateway, wait_max_s, lease_s, page)!
-- End waits of a gateway's requests that a clock wrote which has been set back since: the last check is in the future, or
-- nothing has failed that would have to be waited for so long.
WITH unbelievable AS (
    SELECT id
    FROM gateway_invoice
    WHERE gateway = :gateway
        AND requested > served
        AND parked_at IS NULL
        AND next_check_at > now() + :wait_max_s * interval '1 second'
        AND (attempts = 0 OR checked_at > now())
    LIMIT :page
    FOR UPDATE SKIP LOCKED
)
UPDATE gateway_invoice AS g SET
    next_check_at = now(),
    rung_at = NULL,
    lease_token = CASE WHEN g.lease_until <= now() + :lease_s * interval '1 second' + interval '1 minute' THEN g.lease_token END,
    lease_until = CASE WHEN g.lease_until <= now() + :lease_s * interval '1 second' + interval '1 minute' THEN g.lease_until END
FROM unbelievable
WHERE g.id = unbelievable.id;
