-- Discrepancies: questions that a person reads and answers.

-- name: list_discrepancies(state, after, page)
-- Read questions in one state, oldest first, after an id.
SELECT id, kind, gateway, subject, invoice_id, payment_id, detail, state, seen, first_seen_at, last_seen_at,
    resolved_at, resolved_by, resolution
FROM discrepancy
WHERE state = :state AND id > :after
ORDER BY id
LIMIT :page;

-- name: read_discrepancy(id)^
-- Read one question.
SELECT id, kind, gateway, subject, invoice_id, payment_id, detail, state, seen, first_seen_at, last_seen_at,
    resolved_at, resolved_by, resolution
FROM discrepancy
WHERE id = :id;

-- name: resolve_discrepancy(id, resolution, who, now)!
-- Write a person's answer to a question that nobody has answered.
UPDATE discrepancy SET state = 'resolved', resolution = :resolution, resolved_by = :who, resolved_at = :now
WHERE id = :id AND state IN ('open', 'suspected');

-- name: ask(questions, now)$
-- Ask questions that no gateway's answer raised; count what opened by it.
SELECT jsonb_array_length(opened)
FROM note_discrepancies(:questions::jsonb, :now);
