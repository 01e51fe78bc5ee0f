-- What nearly every check comes to, in statements of one row: one payment that nobody knew, and no question.

-- As append_decided, with the same locks in the same order; the balance is compared and written in one statement.
-- Plans as in 0007.
CREATE FUNCTION append_received(
    balance jsonb, event jsonb, finished jsonb, noted_at timestamptz, OUT written boolean, OUT ring_in_s float8
)
LANGUAGE plpgsql
SET plan_cache_mode TO force_generic_plan SET enable_seqscan TO off SET enable_hashjoin TO off SET enable_mergejoin TO off
AS $$
DECLARE
    of_invoice text := event ->> 'invoice_id';
    of_qr uuid := event ->> 'gateway_invoice_id';
    amount bigint := event ->> 'amount_minor';
    at timestamptz := event ->> 'occurred_at';
    now_has record;
BEGIN
    written := false;

    UPDATE invoice_balance SET
        received_minor = received_minor + amount,
        payments = payments + 1,
        first_paid_at = least(first_paid_at, at),
        last_paid_at = greatest(last_paid_at, at)
    WHERE invoice_id = of_invoice
        AND due_minor = (balance ->> 'due_minor')::bigint
        AND received_minor = (balance ->> 'received_minor')::bigint
        AND refunded_minor = (balance ->> 'refunded_minor')::bigint
        AND payments = (balance ->> 'payments')::integer
        AND (voided_at IS NOT NULL) = (balance ->> 'voided')::boolean
    RETURNING status, currency, due_minor, received_minor, refunded_minor, net_minor, outstanding_minor, overpaid_minor,
        payments, first_paid_at, last_paid_at
    INTO now_has;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    INSERT INTO payment_event (
        gateway, payment_id, kind, ref, invoice_id, gateway_invoice_id, amount_minor, currency, fee_minor,
        occurred_at, occurred_at_source, recorded_at, source, raw, who
    )
    VALUES (
        event ->> 'gateway', event ->> 'payment_id', 'received', event ->> 'ref', of_invoice, of_qr, amount,
        event ->> 'currency', (event ->> 'fee_minor')::bigint, at, event ->> 'occurred_at_source', noted_at,
        event ->> 'source', event -> 'raw', event ->> 'who'
    )
    ON CONFLICT (gateway, payment_id, kind, ref) DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'an event was recorded by somebody else' USING ERRCODE = 'serialization_failure';
    END IF;

    IF now_has.status <> 'void' THEN
        INSERT INTO notification (invoice_id, sequence, type, data, staged_at)
        VALUES (
            of_invoice,
            1 + coalesce((
                SELECT n.sequence
                FROM notification AS n
                WHERE n.invoice_id = of_invoice
                ORDER BY n.sequence DESC
                LIMIT 1
            ), 0),
            CASE
                WHEN now_has.net_minor < now_has.due_minor THEN 'invoice.partially_paid'
                WHEN now_has.net_minor > now_has.due_minor THEN 'invoice.overpaid'
                ELSE 'invoice.paid'
            END,
            jsonb_build_object(
                'invoice_id', of_invoice, 'status', now_has.status, 'currency', now_has.currency,
                'due_minor', now_has.due_minor, 'received_minor', now_has.received_minor,
                'refunded_minor', now_has.refunded_minor, 'net_minor', now_has.net_minor,
                'outstanding_minor', now_has.outstanding_minor, 'overpaid_minor', now_has.overpaid_minor,
                'payments', now_has.payments, 'first_paid_at', now_has.first_paid_at,
                'last_paid_at', now_has.last_paid_at, 'moved', jsonb_build_array(jsonb_build_object(
                    'gateway', event ->> 'gateway', 'payment_id', event ->> 'payment_id', 'kind', 'received',
                    'amount_minor', amount
                ))
            ),
            noted_at
        );
    END IF;

    INSERT INTO payment (gateway, payment_id, invoice_id, currency, received_minor)
    VALUES (event ->> 'gateway', event ->> 'payment_id', of_invoice, event ->> 'currency', amount);

    IF finished IS NOT NULL THEN
        -- All that finish_check does where the payment pays the QR of the check, and nothing is left to look for.
        UPDATE gateway_invoice SET
            state = 'settled', served = requested, attempts = 0, last_error = NULL, lease_token = NULL,
            lease_until = NULL, rung_at = NULL, next_check_at = NULL, awaited_payment_ids = '{}', awaited_since = NULL
        WHERE id = of_qr AND id = (finished ->> 'id')::uuid AND lease_token = (finished ->> 'lease_token')::uuid
            AND requested = (finished ->> 'claimed')::bigint
            AND state IN ('open', 'closing') AND invoice_id = of_invoice AND amount_minor <= amount
            AND to_jsonb(awaited_payment_ids) <@ (finished -> 'seen_payment_ids');
        IF NOT FOUND THEN
            ring_in_s := finish_check(finished, money_moved => true, suspects => false);
        END IF;
    END IF;
    IF EXISTS (SELECT FROM gateway_invoice WHERE invoice_id = of_invoice AND state IN ('open', 'closing')) THEN
        PERFORM move_paid_gateway_invoices(ARRAY[of_invoice]);
    END IF;
    written := true;
END
$$;
COMMENT ON FUNCTION append_received IS 'What append_decided does with one new payment on one invoice, when nothing is asked, and nothing was, about it.';
