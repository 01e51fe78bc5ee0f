-- What gateways are asked to give back.

-- name: read_refund(key)^
-- Read one by its key.
SELECT key, gateway, payment_id, gateway_invoice_id, invoice_id, amount_minor, currency, state, asked_at, answer, who
FROM gateway_refund
WHERE key = :key;

-- name: read_underway(gateway, payment_id)^
-- Read the one of a payment whose outcome is not known.
SELECT key, gateway, payment_id, gateway_invoice_id, invoice_id, amount_minor, currency, state, asked_at, answer, who
FROM gateway_refund
WHERE gateway = :gateway AND payment_id = :payment_id AND state = 'asked';

-- name: intend(key, gateway, payment_id, gateway_invoice_id, invoice_id, amount_minor, currency, reason, who)!
-- Write down that the gateway is about to be asked, for the first time or after it certainly did not act.
INSERT INTO gateway_refund AS r (
    key, gateway, payment_id, gateway_invoice_id, invoice_id, amount_minor, currency, reason, who, state
)
VALUES (
    :key, :gateway, :payment_id, :gateway_invoice_id, :invoice_id, :amount_minor, :currency, :reason, :who, 'asked'
)
ON CONFLICT (key) DO UPDATE SET state = 'asked', asked_at = now(), answered_at = NULL, answer = NULL
WHERE r.state = 'not_acted';

-- name: look_later(id, delay_s)!
-- Have the QR checked in a while whatever happens; a check that is due already stays as it is.
UPDATE gateway_invoice SET
    requested = requested + 1,
    request_source = 'command',
    next_check_at = CASE WHEN requested > served THEN next_check_at ELSE now() + :delay_s * interval '1 second' END
WHERE id = :id;

-- name: answer(key, state, answer)!
-- Write down how the gateway answered.
UPDATE gateway_refund SET state = :state, answered_at = now(), answer = :answer
WHERE key = :key AND state = 'asked';

-- name: note(key, answer)!
-- Write down why no answer came.
UPDATE gateway_refund SET answer = :answer
WHERE key = :key AND state = 'asked';

-- name: conclude_given(key)!
-- Write that the payment went back, once it is recorded so.
UPDATE gateway_refund AS r SET state = 'given', answered_at = now()
FROM payment AS p
WHERE r.key = :key AND r.state = 'asked' AND p.gateway = r.gateway AND p.payment_id = r.payment_id
    AND p.refunded_minor >= p.received_minor;

-- name: conclude_not_given(key, known_after_s)!
-- Write that the payment did not go back: the last check of its QR began long after the gateway was asked, found no
-- refund, and nothing else about the payment that a person should look at. The two clocks may be minutes apart.
UPDATE gateway_refund AS r SET state = 'not_given', answered_at = now()
FROM gateway_invoice AS g, payment AS p
WHERE r.key = :key AND r.state = 'asked' AND p.gateway = r.gateway AND p.payment_id = r.payment_id
    AND p.refunded_minor < p.received_minor
    AND g.id = r.gateway_invoice_id AND g.served >= g.requested
    AND g.checked_at >= r.asked_at + :known_after_s * interval '1 second'
    AND NOT EXISTS (
        SELECT FROM discrepancy AS d
        WHERE d.gateway = r.gateway AND d.payment_id = r.payment_id AND d.state <> 'withdrawn'
            AND d.kind IN ('changed_status', 'changed_amount', 'unknown_status', 'not_an_amount', 'missing_at_gateway')
            AND d.last_seen_at >= r.asked_at - interval '10 minutes'
    );

-- name: withdraw_question(key)!
-- Let nobody be asked any more what is known by now.
UPDATE discrepancy SET state = 'withdrawn'
WHERE kind = 'refund_unknown' AND fingerprint = :key AND state = 'open'
    AND EXISTS (SELECT FROM gateway_refund AS r WHERE r.key = :key AND r.state <> 'asked');
