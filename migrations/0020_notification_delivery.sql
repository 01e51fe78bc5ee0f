-- Notifications are delivered: what is due, who is at it, and how it ended. And they tell what moved.

-- The uuid rewrites the table, once: each message needs one of its own, also after a backup was restored.
ALTER TABLE notification
    ADD COLUMN message_id     uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    ADD COLUMN state          text COLLATE "C" NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'delivered', 'parked', 'unsent')),
    ADD COLUMN next_try_at    timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN attempts       integer NOT NULL DEFAULT 0,
    ADD COLUMN first_tried_at timestamptz,
    ADD COLUMN rung_at        timestamptz,
    ADD COLUMN lease_token    uuid,
    ADD COLUMN lease_until    timestamptz CHECK ((lease_token IS NULL) = (lease_until IS NULL)),
    ADD COLUMN ended_at       timestamptz CHECK ((state = 'pending') = (ended_at IS NULL)),
    ADD COLUMN last_status    integer,
    ADD COLUMN last_error     text CHECK (char_length(last_error) <= 500);
COMMENT ON COLUMN notification.message_id IS 'The webhook-id: the same at every try, by which a receiver knows what it has seen.';
COMMENT ON COLUMN notification.state IS 'pending; delivered; parked, when it failed for days; unsent, when for days nobody was to be told.';
COMMENT ON COLUMN notification.next_try_at IS 'Not before. PostgreSQL''s clock, as all times here but staged_at.';
COMMENT ON COLUMN notification.attempts IS 'How often it was tried since it was staged, or was last asked to be sent again.';
COMMENT ON COLUMN notification.first_tried_at IS 'When the first of these was.';
COMMENT ON COLUMN notification.rung_at IS 'When a worker was last woken for it.';
COMMENT ON COLUMN notification.lease_token IS 'Who may write how a try ended.';
COMMENT ON COLUMN notification.lease_until IS 'When its holder is taken for dead.';
COMMENT ON COLUMN notification.ended_at IS 'When it was delivered, parked or found unsent.';
COMMENT ON COLUMN notification.last_status IS 'The HTTP status of the last answer; null where none came.';
COMMENT ON COLUMN notification.last_error IS 'Why the last try failed.';

-- Nobody was told of anything until now, and old news would surprise: a person may have it sent.
UPDATE notification SET state = 'unsent', ended_at = now();

CREATE INDEX notification_pending ON notification (next_try_at) WHERE state = 'pending';
CREATE INDEX notification_parked ON notification (id) WHERE state = 'parked';
GRANT UPDATE (
    state, next_try_at, attempts, first_tried_at, rung_at, lease_token, lease_until, ended_at, last_status, last_error
) ON notification TO tootsoo_app;
GRANT DELETE ON notification TO tootsoo_app;

CREATE TABLE notification_pause (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    until    timestamptz NOT NULL
);
COMMENT ON TABLE notification_pause IS 'At most one row: until when the merchant''s application has asked not to be called.';
COMMENT ON COLUMN notification_pause.only_row IS 'Keeps it at one row.';
COMMENT ON COLUMN notification_pause.until IS 'When the next may be delivered. PostgreSQL''s clock.';
GRANT SELECT, INSERT, UPDATE ON notification_pause TO tootsoo_app;

-- As in 0007, and what is told of an invoice holds all of its balance and the payments that moved.
CREATE OR REPLACE FUNCTION project_events(events jsonb, noted_at timestamptz) RETURNS void
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
            max(occurred_at) FILTER (WHERE kind IN ('received', 'assigned')) AS last_paid_at,
            jsonb_agg(jsonb_build_object(
                'gateway', gateway, 'payment_id', payment_id, 'kind', kind, 'amount_minor', amount_minor
            )) AS moved
        FROM jsonb_to_recordset(events) AS given (
            gateway text, payment_id text, kind text, invoice_id text, amount_minor bigint, occurred_at timestamptz
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
        RETURNING b.invoice_id, d.received_minor AS more_received, d.refunded_minor AS more_refunded, d.moved, b.status,
            b.currency, b.due_minor, b.received_minor, b.refunded_minor, b.net_minor, b.outstanding_minor,
            b.overpaid_minor, b.payments, b.first_paid_at, b.last_paid_at
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
            'outstanding_minor', outstanding_minor, 'overpaid_minor', overpaid_minor, 'payments', payments,
            'first_paid_at', first_paid_at, 'last_paid_at', last_paid_at, 'moved', moved
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
