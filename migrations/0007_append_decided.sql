-- The append as one call, and the notifications that it stages.

CREATE TABLE notification (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    invoice_id text COLLATE "C" REFERENCES invoice,
    sequence   integer CHECK (sequence >= 1),
    type       text COLLATE "C" NOT NULL CHECK (type IN (
            'invoice.paid', 'invoice.partially_paid', 'invoice.overpaid', 'invoice.refunded',
            'payment.unmatched', 'discrepancy.opened')),
    data       jsonb NOT NULL,
    staged_at  timestamptz NOT NULL,
    UNIQUE (invoice_id, sequence),
    CHECK ((sequence IS NULL) = (invoice_id IS NULL))
);
COMMENT ON TABLE notification IS 'What the merchant''s application is to be told, staged with what it tells of. The newest of each invoice stays: the next counts on from it.';
COMMENT ON COLUMN notification.id IS 'The order in which they were staged.';
COMMENT ON COLUMN notification.invoice_id IS 'The invoice that it is about, where there is one.';
COMMENT ON COLUMN notification.sequence IS '1 for the first about this invoice, then 2, 3, …: told in this order.';
COMMENT ON COLUMN notification.type IS 'What happened, such as invoice.paid.';
COMMENT ON COLUMN notification.data IS 'The balance, payment or question as it was then; amounts in minor units.';
COMMENT ON COLUMN notification.staged_at IS 'When.';

GRANT SELECT, INSERT ON notification TO tootsoo_app;

DROP INDEX discrepancy_of_payment;
CREATE INDEX discrepancy_in_doubt ON discrepancy (gateway, payment_id)
    WHERE kind IN ('changed_status', 'missing_at_gateway') AND state IN ('suspected', 'resolved');
CREATE INDEX payment_event_in_suspense ON payment_event (gateway_invoice_id) WHERE invoice_id IS NULL;

-- Plans: these functions are prepared once a session, and a plan may be made while the tables are all but empty. Access
-- by index in nested loops is right for every size, so nothing else is allowed, and no call is planned anew. The
-- functions that are called by these inherit it.

CREATE FUNCTION recorded(
    invoice_ids text[], gateways text[], payment_ids text[], gateway_invoice_ids uuid[],
    OUT balances json, OUT events json
)
LANGUAGE plpgsql STABLE
SET plan_cache_mode TO force_generic_plan SET enable_seqscan TO off SET enable_hashjoin TO off SET enable_mergejoin TO off
AS $$
BEGIN
    SELECT coalesce(json_agg(json_build_object(
        'invoice_id', b.invoice_id, 'currency', b.currency, 'due_minor', b.due_minor,
        'received_minor', b.received_minor, 'refunded_minor', b.refunded_minor, 'payments', b.payments,
        'voided', b.voided_at IS NOT NULL,
        'routes', CASE WHEN b.payments > 0 THEN (
            SELECT json_agg(DISTINCT jsonb_build_array(e.gateway, e.gateway_invoice_id))
            FROM payment_event AS e
            WHERE e.invoice_id = b.invoice_id
                AND (e.kind = 'received' OR e.kind = 'assigned' AND e.gateway_invoice_id IS NOT NULL)
        ) END
    )), '[]')
    INTO balances
    FROM unnest(invoice_ids) AS wanted (invoice_id)
    JOIN invoice_balance AS b USING (invoice_id);

    SELECT coalesce(json_agg(json_build_array(
        e.gateway, e.payment_id, e.kind, e.ref, e.invoice_id, e.gateway_invoice_id, e.amount_minor, e.currency,
        e.occurred_at, e.occurred_at_source,
        CASE WHEN e.source = 'command' THEN e.raw ->> 'reason' END
    ) ORDER BY e.position), '[]')
    INTO events
    FROM (
        SELECT gateway COLLATE "C" AS gateway, payment_id COLLATE "C" AS payment_id
        FROM unnest(gateways, payment_ids) AS k (gateway, payment_id)
        UNION
        SELECT r.gateway, r.payment_id
        FROM unnest(invoice_ids) AS wanted (invoice_id)
        JOIN payment_event AS r ON r.invoice_id = wanted.invoice_id
        WHERE r.gateway_invoice_id = ANY (gateway_invoice_ids)
        UNION
        SELECT r.gateway, r.payment_id
        FROM unnest(gateway_invoice_ids) AS qr (id)
        JOIN payment_event AS r ON r.gateway_invoice_id = qr.id
        WHERE r.invoice_id IS NULL
    ) AS k
    JOIN payment_event AS e USING (gateway, payment_id);
END
$$;
COMMENT ON FUNCTION recorded IS 'What a decision needs of invoices, of payments, and of what was received on QRs of the invoices; one snapshot.';

CREATE FUNCTION note_discrepancies(asked jsonb, noted_at timestamptz, OUT opened jsonb, OUT suspects boolean)
LANGUAGE plpgsql
SET plan_cache_mode TO force_generic_plan
AS $$
BEGIN
    WITH given AS (
        SELECT * FROM jsonb_to_recordset(asked) AS given (
            kind text, gateway text, subject text, fingerprint text, invoice_id text, payment_id text, detail text,
            certain boolean
        )
    ),
    noted AS (
        INSERT INTO discrepancy AS d (
            kind, gateway, subject, fingerprint, invoice_id, payment_id, detail, state, first_seen_at, last_seen_at
        )
        SELECT kind, gateway, subject, fingerprint, invoice_id, payment_id, detail,
            CASE WHEN certain THEN 'open' ELSE 'suspected' END, noted_at, noted_at
        FROM given
        ORDER BY kind COLLATE "C", gateway COLLATE "C", subject COLLATE "C", fingerprint COLLATE "C"
        ON CONFLICT (kind, gateway, subject, fingerprint) DO UPDATE SET
            seen = CASE d.state WHEN 'withdrawn' THEN 1 ELSE d.seen + 1 END,
            state = CASE d.state WHEN 'suspected' THEN 'open' WHEN 'withdrawn' THEN excluded.state ELSE d.state END,
            last_seen_at = excluded.last_seen_at
        RETURNING d.id, d.kind, d.gateway, d.subject, d.fingerprint, d.state, d.seen
    ),
    just_opened AS (
        SELECT noted.id, given.*
        FROM noted
        JOIN given USING (kind, gateway, subject, fingerprint)
        WHERE noted.state = 'open' AND noted.seen = CASE WHEN given.certain THEN 1 ELSE 2 END
    ),
    staged AS (
        INSERT INTO notification (type, data, staged_at)
        SELECT 'discrepancy.opened',
            jsonb_build_object(
                'discrepancy_id', id, 'kind', kind, 'gateway', gateway, 'invoice_id', invoice_id,
                'payment_id', payment_id, 'detail', detail
            ),
            noted_at
        FROM just_opened
        ORDER BY id
    )
    SELECT
        (SELECT coalesce(jsonb_agg(to_jsonb(just_opened) ORDER BY id), '[]') FROM just_opened),
        (SELECT coalesce(bool_or(state = 'suspected'), false) FROM noted)
    INTO opened, suspects;
END
$$;
COMMENT ON FUNCTION note_discrepancies IS 'Asks what was not asked before; returns what opened by it, and whether anything is only suspected. What may be a stale read opens when it is met the second time.';

CREATE FUNCTION clear_suspicions(cleared jsonb) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE discrepancy AS d SET
        state = CASE d.state WHEN 'suspected' THEN 'withdrawn' ELSE d.state END,
        fingerprint = CASE d.state WHEN 'resolved' THEN d.fingerprint || ' answered ' || d.id ELSE d.fingerprint END
    FROM jsonb_to_recordset(cleared) AS k (gateway text, payment_id text)
    WHERE d.gateway = k.gateway AND d.payment_id = k.payment_id
        AND d.kind IN ('changed_status', 'missing_at_gateway')
        AND d.state IN ('suspected', 'resolved') AND d.fingerprint NOT LIKE '% answered %';
END
$$;
COMMENT ON FUNCTION clear_suspicions IS 'Forgets what was suspected of payments that the gateway shows as they were recorded; what was answered about them may be asked again when it happens again.';

CREATE FUNCTION received_on(qr uuid, of_invoice text) RETURNS bigint
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN (
        SELECT coalesce(sum(amount_minor), 0)
        FROM payment_event
        WHERE invoice_id = of_invoice AND gateway_invoice_id = qr AND kind IN ('received', 'assigned')
    );
END
$$;
COMMENT ON FUNCTION received_on IS 'What came to an invoice by one of its QRs, also by way of suspense, in minor units.';

CREATE FUNCTION finish_check(finished jsonb, money_moved boolean, suspects boolean) RETURNS float8
LANGUAGE plpgsql
AS $$
DECLARE
    qr gateway_invoice;
    claimed bigint := finished ->> 'claimed';
    next_state text;
    missing text[] := '{}';
    recheck_at timestamptz;
    asked_again boolean;
    still_awaited boolean;
    look_again boolean;
    next_at timestamptz;
BEGIN
    SELECT * INTO qr
    FROM gateway_invoice
    WHERE id = (finished ->> 'id')::uuid AND lease_token = (finished ->> 'lease_token')::uuid
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    next_state := qr.state;
    IF money_moved AND qr.state IN ('open', 'closing') AND received_on(qr.id, qr.invoice_id) >= qr.amount_minor THEN
        next_state := 'settled';
    END IF;

    IF qr.awaited_payment_ids <> '{}' THEN
        missing := ARRAY(
            SELECT unnest(qr.awaited_payment_ids) EXCEPT SELECT jsonb_array_elements_text(finished -> 'seen_payment_ids')
        );
        SELECT min(qr.awaited_since + after_s::float8 * interval '1 second') INTO recheck_at
        FROM jsonb_array_elements_text(finished -> 'recheck_after_s') AS after_s
        WHERE qr.awaited_since + after_s::float8 * interval '1 second' > now();
    END IF;
    IF suspects THEN
        recheck_at := least(recheck_at, now() + (finished ->> 'doubt_s')::float8 * interval '1 second');
    END IF;
    asked_again := qr.requested > claimed;
    still_awaited := recheck_at IS NOT NULL AND missing <> '{}';
    look_again := still_awaited OR suspects;
    next_at := CASE
        WHEN asked_again THEN qr.checked_at + (finished ->> 'spacing_s')::float8 * interval '1 second'
        WHEN look_again THEN recheck_at
    END;

    UPDATE gateway_invoice SET
        state = next_state,
        served = claimed,
        requested = greatest(qr.requested, claimed + look_again::integer),
        attempts = 0,
        last_error = NULL,
        lease_token = NULL,
        lease_until = NULL,
        rung_at = CASE WHEN asked_again THEN now() END,
        next_check_at = next_at,
        awaited_payment_ids = CASE WHEN still_awaited THEN missing ELSE '{}' END,
        awaited_since = CASE WHEN still_awaited THEN qr.awaited_since END
    WHERE id = qr.id;
    RETURN CASE WHEN asked_again THEN greatest(0, extract(epoch FROM next_at - now())) END;
END
$$;
COMMENT ON FUNCTION finish_check IS 'Writes that a check was made, if the lease is still its own. Returns in how many seconds a worker should be woken for what was asked meanwhile. A payment that a callback named and the gateway does not show yet is looked for again at set times.';

CREATE FUNCTION project_events(events jsonb, noted_at timestamptz) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    WITH delta AS (
        SELECT invoice_id,
            coalesce(sum(amount_minor) FILTER (WHERE kind IN ('received', 'assigned')), 0)
                - coalesce(sum(amount_minor) FILTER (WHERE kind = 'unassigned'), 0) AS received_minor,
            coalesce(sum(amount_minor) FILTER (WHERE kind = 'refunded'), 0) AS refunded_minor,
            count(*) FILTER (WHERE kind IN ('received', 'assigned')) AS payments,
            min(occurred_at) FILTER (WHERE kind IN ('received', 'assigned')) AS first_paid_at,
            max(occurred_at) FILTER (WHERE kind IN ('received', 'assigned')) AS last_paid_at
        FROM jsonb_to_recordset(events) AS given (
            kind text, invoice_id text, amount_minor bigint, occurred_at timestamptz
        )
        WHERE invoice_id IS NOT NULL
        GROUP BY invoice_id
    ),
    projected AS (
        UPDATE invoice_balance AS b SET
            received_minor = b.received_minor + d.received_minor,
            refunded_minor = b.refunded_minor + d.refunded_minor,
            payments = b.payments + d.payments,
            first_paid_at = least(b.first_paid_at, d.first_paid_at),
            last_paid_at = greatest(b.last_paid_at, d.last_paid_at)
        FROM delta AS d
        WHERE b.invoice_id = d.invoice_id
        RETURNING b.invoice_id, d.received_minor AS more_received, d.refunded_minor AS more_refunded, b.status,
            b.currency, b.due_minor, b.received_minor, b.refunded_minor, b.net_minor, b.outstanding_minor,
            b.overpaid_minor
    )
    INSERT INTO notification (invoice_id, sequence, type, data, staged_at)
    SELECT invoice_id,
        1 + coalesce((
            SELECT n.sequence
            FROM notification AS n
            WHERE n.invoice_id = p.invoice_id
            ORDER BY n.sequence DESC
            LIMIT 1
        ), 0),
        CASE
            WHEN more_refunded > 0 THEN 'invoice.refunded'
            WHEN net_minor < due_minor THEN 'invoice.partially_paid'
            WHEN net_minor > due_minor THEN 'invoice.overpaid'
            ELSE 'invoice.paid'
        END,
        jsonb_build_object(
            'invoice_id', invoice_id, 'status', status, 'currency', currency, 'due_minor', due_minor,
            'received_minor', received_minor, 'refunded_minor', refunded_minor, 'net_minor', net_minor,
            'outstanding_minor', outstanding_minor, 'overpaid_minor', overpaid_minor
        ),
        noted_at
    FROM projected AS p
    WHERE status <> 'void' AND (more_refunded <> 0 OR more_received <> 0);

    WITH of_payment AS (
        SELECT gateway, payment_id, min(currency) AS currency,
            coalesce(
                max(invoice_id) FILTER (WHERE kind = 'assigned'), max(invoice_id) FILTER (WHERE kind = 'received')
            ) AS invoice_id,
            coalesce(sum(amount_minor) FILTER (WHERE kind = 'received'), 0) AS received_minor,
            coalesce(sum(amount_minor) FILTER (WHERE kind = 'refunded'), 0) AS refunded_minor,
            bool_or(kind = 'received') AS is_new
        FROM jsonb_to_recordset(events) AS given (
            gateway text, payment_id text, kind text, invoice_id text, amount_minor bigint, currency text
        )
        GROUP BY gateway, payment_id
    ),
    first_seen AS (
        INSERT INTO payment (gateway, payment_id, invoice_id, currency, received_minor, refunded_minor)
        SELECT gateway, payment_id, invoice_id, currency, received_minor, refunded_minor
        FROM of_payment
        WHERE is_new
        ORDER BY gateway COLLATE "C", payment_id COLLATE "C"
    )
    UPDATE payment AS p SET
        invoice_id = coalesce(o.invoice_id, p.invoice_id),
        refunded_minor = p.refunded_minor + o.refunded_minor
    FROM of_payment AS o
    WHERE NOT o.is_new AND p.gateway = o.gateway AND p.payment_id = o.payment_id;

    IF events @? '$[*] ? (@.invoice_id == null)' THEN
        INSERT INTO suspense_balance AS b (gateway, currency, received_minor, refunded_minor)
        SELECT gateway, currency,
            coalesce(sum(amount_minor) FILTER (WHERE kind IN ('received', 'assigned')), 0)
                - coalesce(sum(amount_minor) FILTER (WHERE kind = 'unassigned'), 0),
            coalesce(sum(amount_minor) FILTER (WHERE kind = 'refunded'), 0)
        FROM jsonb_to_recordset(events) AS given (
            gateway text, kind text, invoice_id text, amount_minor bigint, currency text
        )
        WHERE invoice_id IS NULL
        GROUP BY gateway, currency
        ORDER BY gateway COLLATE "C", currency COLLATE "C"
        ON CONFLICT (gateway, currency) DO UPDATE SET
            received_minor = b.received_minor + excluded.received_minor,
            refunded_minor = b.refunded_minor + excluded.refunded_minor;

        INSERT INTO notification (type, data, staged_at)
        SELECT 'payment.unmatched',
            jsonb_build_object(
                'gateway', gateway, 'payment_id', payment_id, 'amount_minor', amount_minor, 'currency', currency
            ),
            noted_at
        FROM jsonb_to_recordset(events) AS given (
            gateway text, payment_id text, kind text, invoice_id text, amount_minor bigint, currency text
        )
        WHERE invoice_id IS NULL AND kind = 'received'
        ORDER BY gateway COLLATE "C", payment_id COLLATE "C";
    END IF;
END
$$;
COMMENT ON FUNCTION project_events IS 'Adds new events, a JSON array of them, to balances, payments and suspense, and stages what the merchant is told of it.';

CREATE FUNCTION move_paid_gateway_invoices(of_invoices text[]) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE gateway_invoice AS g SET
        state = CASE WHEN received_on(g.id, g.invoice_id) >= g.amount_minor THEN 'settled' ELSE 'closing' END
    FROM unnest(of_invoices) AS of (invoice_id)
    JOIN invoice_balance AS b USING (invoice_id)
    WHERE g.invoice_id = of.invoice_id AND g.state IN ('open', 'closing')
        AND (received_on(g.id, g.invoice_id) >= g.amount_minor OR (b.outstanding_minor = 0 AND g.state = 'open'));
END
$$;
COMMENT ON FUNCTION move_paid_gateway_invoices IS 'Settles QRs whose own amount has been paid on them; closes the other open QRs of invoices with nothing outstanding.';

CREATE FUNCTION append_decided(
    balances jsonb, known jsonb, known_events integer, events jsonb, cleared jsonb, discrepancies jsonb, finished jsonb,
    noted_at timestamptz,
    OUT written boolean, OUT opened jsonb, OUT ring_in_s float8
)
LANGUAGE plpgsql
SET plan_cache_mode TO force_generic_plan SET enable_seqscan TO off SET enable_hashjoin TO off SET enable_mergejoin TO off
AS $$
DECLARE
    invoice_ids text[];
    unchanged integer;
    locked integer;
    found_events integer;
    inserted integer;
    suspects boolean := false;
BEGIN
    written := false;
    opened := '[]';

    -- Balances are locked in id order, so that appends in opposite orders wait for each other instead of deadlocking.
    -- A balance that is as it was has had no event since: received, refunded and payments never come back together.
    SELECT count(*) FILTER (WHERE held.same), array_agg(held.invoice_id) INTO unchanged, invoice_ids
    FROM (
        SELECT b.invoice_id,
            (b.due_minor, b.received_minor, b.refunded_minor, b.payments, b.voided_at IS NOT NULL)
                = (seen.due_minor, seen.received_minor, seen.refunded_minor, seen.payments, seen.voided) AS same
        FROM jsonb_to_recordset(balances) AS seen (
            invoice_id text, due_minor bigint, received_minor bigint, refunded_minor bigint, payments integer,
            voided boolean
        )
        JOIN invoice_balance AS b USING (invoice_id)
        ORDER BY b.invoice_id
        FOR UPDATE OF b
    ) AS held;
    IF unchanged <> jsonb_array_length(balances) THEN
        RETURN;
    END IF;

    IF known_events > 0 THEN
        PERFORM FROM jsonb_to_recordset(known) AS k (gateway text, payment_id text)
        JOIN payment AS p USING (gateway, payment_id)
        ORDER BY p.gateway, p.payment_id
        FOR UPDATE OF p;
        GET DIAGNOSTICS locked = ROW_COUNT;
        IF locked <> jsonb_array_length(known) THEN
            RAISE EXCEPTION 'a payment that has events has no row in payment' USING HINT = 'Run tootsoo replay.';
        END IF;
        SELECT count(*) INTO found_events
        FROM jsonb_to_recordset(known) AS k (gateway text, payment_id text)
        JOIN payment_event AS e USING (gateway, payment_id);
        IF found_events <> known_events THEN
            RETURN;
        END IF;
    END IF;

    IF events <> '[]' THEN
        INSERT INTO payment_event (
            gateway, payment_id, kind, ref, invoice_id, gateway_invoice_id, amount_minor, currency, fee_minor,
            occurred_at, occurred_at_source, recorded_at, source, raw, who
        )
        SELECT gateway, payment_id, kind, ref, invoice_id, gateway_invoice_id, amount_minor, currency, fee_minor,
            occurred_at, occurred_at_source, noted_at, source, raw, who
        FROM jsonb_to_recordset(events) AS given (
            gateway text, payment_id text, kind text, ref text, invoice_id text, gateway_invoice_id uuid,
            amount_minor bigint, currency text, fee_minor bigint, occurred_at timestamptz, occurred_at_source text,
            source text, raw jsonb, who text
        )
        ORDER BY gateway COLLATE "C", payment_id COLLATE "C", kind COLLATE "C", ref COLLATE "C"
        ON CONFLICT (gateway, payment_id, kind, ref) DO NOTHING;
        GET DIAGNOSTICS inserted = ROW_COUNT;
        IF inserted <> jsonb_array_length(events) THEN
            RAISE EXCEPTION 'an event was recorded by somebody else' USING ERRCODE = 'serialization_failure';
        END IF;
        PERFORM project_events(events, noted_at);
    END IF;

    IF cleared <> '[]' THEN
        PERFORM clear_suspicions(cleared);
    END IF;
    IF discrepancies <> '[]' THEN
        SELECT noted.opened, noted.suspects INTO opened, suspects FROM note_discrepancies(discrepancies, noted_at) AS noted;
    END IF;
    IF finished IS NOT NULL THEN
        ring_in_s := finish_check(finished, money_moved => events <> '[]', suspects => suspects);
    END IF;
    IF events <> '[]' THEN
        PERFORM move_paid_gateway_invoices(invoice_ids);
    END IF;
    written := true;
END
$$;
COMMENT ON FUNCTION append_decided IS 'Writes what was decided, if the balances and payments that it was decided on are still as they were; else nothing, and "written" is false.';
