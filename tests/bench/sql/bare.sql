-- The limits: the same rows in the same tables as our transaction must write, and nothing else.

-- name: insert_event(payment_id, invoice_id, gateway_invoice_id, amount_minor, occurred_at, recorded_at, raw)!
-- Write one event.
INSERT INTO payment_event (
    gateway, payment_id, kind, ref, invoice_id, gateway_invoice_id, amount_minor, currency, fee_minor,
    occurred_at, occurred_at_source, recorded_at, source, raw
)
VALUES (
    'qpay', :payment_id, 'received', 'gateway', :invoice_id, :gateway_invoice_id, :amount_minor, 'MNT', NULL,
    :occurred_at, 'gateway', :recorded_at, 'callback', :raw
);

-- name: insert_payment(payment_id, invoice_id, amount_minor)!
-- Write one payment.
INSERT INTO payment (gateway, payment_id, invoice_id, currency, received_minor)
VALUES ('qpay', :payment_id, :invoice_id, 'MNT', :amount_minor);

-- name: update_balance(invoice_id, amount_minor, occurred_at)!
-- Write one balance.
UPDATE invoice_balance SET
    received_minor = received_minor + :amount_minor, payments = payments + 1,
    first_paid_at = least(first_paid_at, :occurred_at), last_paid_at = greatest(last_paid_at, :occurred_at)
WHERE invoice_id = :invoice_id;

-- name: insert_notification(invoice_id, amount_minor, recorded_at)!
-- Write one notification.
INSERT INTO notification (invoice_id, sequence, type, data, staged_at)
VALUES (
    :invoice_id, 1, 'invoice.paid',
    jsonb_build_object(
        'invoice_id', :invoice_id::text, 'status', 'paid', 'currency', 'MNT', 'due_minor', :amount_minor::bigint,
        'received_minor', :amount_minor::bigint, 'refunded_minor', 0, 'net_minor', :amount_minor::bigint,
        'outstanding_minor', 0, 'overpaid_minor', 0
    ),
    :recorded_at
);

-- name: finish_check(gateway_invoice_id)!
-- Write that a QR is settled and that its check was made: one row, written once.
UPDATE gateway_invoice SET
    state = 'settled', served = 1, attempts = 0, last_error = NULL, lease_token = NULL, lease_until = NULL,
    rung_at = NULL, next_check_at = NULL, awaited_payment_ids = '{}', awaited_since = NULL
WHERE id = :gateway_invoice_id;

-- name: insert_events(payment_ids, invoice_ids, gateway_invoice_ids, amounts_minor, occurred_ats, recorded_at, raws)!
-- Write many events.
INSERT INTO payment_event (
    gateway, payment_id, kind, ref, invoice_id, gateway_invoice_id, amount_minor, currency, fee_minor,
    occurred_at, occurred_at_source, recorded_at, source, raw
)
SELECT 'qpay', payment_id, 'received', 'gateway', invoice_id, gateway_invoice_id, amount_minor, 'MNT', NULL,
    occurred_at, 'gateway', :recorded_at, 'callback', raw::jsonb
FROM unnest(
    :payment_ids::text[], :invoice_ids::text[], :gateway_invoice_ids::uuid[], :amounts_minor::bigint[],
    :occurred_ats::timestamptz[], :raws::text[]
) AS e (payment_id, invoice_id, gateway_invoice_id, amount_minor, occurred_at, raw);

-- name: insert_payments(payment_ids, invoice_ids, amounts_minor)!
-- Write many payments.
INSERT INTO payment (gateway, payment_id, invoice_id, currency, received_minor)
SELECT 'qpay', payment_id, invoice_id, 'MNT', amount_minor
FROM unnest(:payment_ids::text[], :invoice_ids::text[], :amounts_minor::bigint[])
    AS e (payment_id, invoice_id, amount_minor);

-- name: update_balances(invoice_ids, amounts_minor, occurred_ats)!
-- Write many balances, each invoice once.
UPDATE invoice_balance AS b SET
    received_minor = b.received_minor + e.amount_minor, payments = b.payments + 1,
    first_paid_at = least(b.first_paid_at, e.occurred_at), last_paid_at = greatest(b.last_paid_at, e.occurred_at)
FROM unnest(:invoice_ids::text[], :amounts_minor::bigint[], :occurred_ats::timestamptz[])
    AS e (invoice_id, amount_minor, occurred_at)
WHERE b.invoice_id = e.invoice_id;

-- name: insert_notifications(invoice_ids, amounts_minor, recorded_at)!
-- Write many notifications, each invoice's first.
INSERT INTO notification (invoice_id, sequence, type, data, staged_at)
SELECT invoice_id, 1, 'invoice.paid',
    jsonb_build_object(
        'invoice_id', invoice_id, 'status', 'paid', 'currency', 'MNT', 'due_minor', amount_minor,
        'received_minor', amount_minor, 'refunded_minor', 0, 'net_minor', amount_minor,
        'outstanding_minor', 0, 'overpaid_minor', 0
    ),
    :recorded_at
FROM unnest(:invoice_ids::text[], :amounts_minor::bigint[]) AS e (invoice_id, amount_minor);

-- name: settle_qrs(gateway_invoice_ids)!
-- Write that many QRs are settled.
UPDATE gateway_invoice SET state = 'settled'
WHERE id = ANY (:gateway_invoice_ids::uuid[]);

-- name: request_check(id)!
-- Write that a check of one QR is asked for.
UPDATE gateway_invoice SET
    requested = requested + 1, request_source = 'callback', next_check_at = now(), rung_at = now()
WHERE id = :id;

-- name: claim_check(id, lease_token)!
-- Take the check of one QR.
UPDATE gateway_invoice SET
    lease_token = :lease_token, lease_until = now() + interval '12 s', checked_at = now(), attempts = attempts + 1
WHERE id = :id;

-- name: read_balance(id)^
-- Read one balance.
SELECT invoice_id, due_minor, received_minor, outstanding_minor, status
FROM invoice_balance
WHERE invoice_id = :id;
