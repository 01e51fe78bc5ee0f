-- The limit of P1: what the same events come to, written into a table of its own.

-- name: sum_events()#
-- Sum what events alone give to a balance, and make the primary key.
DROP TABLE IF EXISTS bare_balance;
CREATE TABLE bare_balance AS
SELECT invoice_id,
    sum(CASE kind WHEN 'received' THEN amount_minor WHEN 'assigned' THEN amount_minor
        WHEN 'unassigned' THEN -amount_minor ELSE 0 END) AS received_minor,
    sum(CASE kind WHEN 'refunded' THEN amount_minor ELSE 0 END) AS refunded_minor,
    count(*) FILTER (WHERE kind IN ('received', 'assigned')) AS payments,
    min(occurred_at) FILTER (WHERE kind IN ('received', 'assigned')) AS first_paid_at,
    max(occurred_at) FILTER (WHERE kind IN ('received', 'assigned')) AS last_paid_at
FROM payment_event
GROUP BY invoice_id;
ALTER TABLE bare_balance ADD PRIMARY KEY (invoice_id);
