-- The history: what checks came to and how often callbacks came. It explains balances and decides nothing.

-- name: record_answer(gateway_invoice_id, check_id, duration_ms, seen_at, answer_rows, answer, new_events, new_discrepancies)!
-- Write what a gateway answered to a check that was begun. Losing this to a power cut is bearable, so its commit waits
-- for no disk: `set_config` holds for this one statement, which is a transaction of its own.
UPDATE gateway_check SET
    outcome = 'answered', finished_at = clock_timestamp(), duration_ms = :duration_ms, seen_at = :seen_at,
    answer_rows = :answer_rows, answer = :answer::jsonb, new_events = :new_events,
    new_discrepancies = :new_discrepancies
WHERE gateway_invoice_id = :gateway_invoice_id AND id = :check_id AND outcome IS NULL
    AND set_config('synchronous_commit', 'off', true) = 'off';

-- name: record_failure(gateway_invoice_id, check_id, duration_ms, error)!
-- Write why a check that was begun got no answer; its commit waits for no disk either.
UPDATE gateway_check SET
    outcome = 'failed', finished_at = clock_timestamp(), duration_ms = :duration_ms, error = :error
WHERE gateway_invoice_id = :gateway_invoice_id AND id = :check_id AND outcome IS NULL
    AND set_config('synchronous_commit', 'off', true) = 'off';

-- name: remove_checks(days, page)!
-- Remove up to a page of checks that began longer ago than so many days. What somebody else removes is left to them.
DELETE FROM gateway_check
WHERE (gateway_invoice_id, id) IN (
    SELECT gateway_invoice_id, id
    FROM gateway_check
    WHERE started_at < now() - :days * interval '1 day'
    ORDER BY started_at
    LIMIT :page
    FOR UPDATE SKIP LOCKED
);

-- name: remove_callbacks(days, page)!
-- Remove up to a page of QRs' callbacks of which the last came longer ago than so many days.
DELETE FROM callback
WHERE gateway_invoice_id IN (
    SELECT gateway_invoice_id
    FROM callback
    WHERE last_at < now() - :days * interval '1 day'
    LIMIT :page
    FOR UPDATE SKIP LOCKED
);
