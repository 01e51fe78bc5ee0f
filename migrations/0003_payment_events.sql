-- The facts. Everything else about money can be computed from these and invoice_change.

CREATE TABLE payment_event (
    position           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway            text COLLATE "C" NOT NULL,
    payment_id         text COLLATE "C" NOT NULL CHECK (payment_id <> ''),
    kind               text COLLATE "C" NOT NULL CHECK (kind IN ('received', 'refunded', 'unassigned', 'assigned')),
    ref                text COLLATE "C" NOT NULL,
    invoice_id         text COLLATE "C" REFERENCES invoice,
    gateway_invoice_id uuid REFERENCES gateway_invoice,
    amount_minor       bigint NOT NULL CHECK (amount_minor > 0),
    currency           text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    fee_minor          bigint,
    occurred_at        timestamptz NOT NULL,
    occurred_at_source text NOT NULL CHECK (occurred_at_source IN ('gateway', 'observed', 'person')),
    recorded_at        timestamptz NOT NULL,
    source             text NOT NULL CHECK (source IN ('callback', 'sweep', 'refresh', 'command', 'manual', 'statement')),
    raw                jsonb NOT NULL,
    who                text,
    UNIQUE (gateway, payment_id, kind, ref)
);
CREATE INDEX payment_event_of_invoice ON payment_event (invoice_id, position);
COMMENT ON TABLE payment_event IS 'Append-only: what happened to the money of each payment, keyed by payment.';
COMMENT ON COLUMN payment_event.position IS 'Identity; not the order of commits.';
COMMENT ON COLUMN payment_event.gateway IS 'Who knows the payment: qpay.';
COMMENT ON COLUMN payment_event.payment_id IS 'The gateway''s id of the payment.';
COMMENT ON COLUMN payment_event.kind IS 'received, refunded; unassigned and assigned move money between invoices.';
COMMENT ON COLUMN payment_event.ref IS '"gateway" for what a gateway''s answer proves, else the caller''s key.';
COMMENT ON COLUMN payment_event.invoice_id IS 'The one invoice that it counts for; null is suspense.';
COMMENT ON COLUMN payment_event.gateway_invoice_id IS 'The QR that was paid, where known.';
COMMENT ON COLUMN payment_event.amount_minor IS 'Gross, in minor units (MNT: möngö); the sign follows from the kind.';
COMMENT ON COLUMN payment_event.currency IS 'ISO 4217 code of amount and fee.';
COMMENT ON COLUMN payment_event.fee_minor IS 'The gateway''s fee, where it told one.';
COMMENT ON COLUMN payment_event.occurred_at IS 'When the money moved.';
COMMENT ON COLUMN payment_event.occurred_at_source IS 'How that is known: the gateway said so, we first saw it then, or a person said so.';
COMMENT ON COLUMN payment_event.recorded_at IS 'When the event was appended.';
COMMENT ON COLUMN payment_event.source IS 'What made us look: callback, sweep, refresh, command, manual or statement.';
COMMENT ON COLUMN payment_event.raw IS 'The gateway''s row as it came.';
COMMENT ON COLUMN payment_event.who IS 'The person, for what a person recorded.';

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payment_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE payment_event ENABLE ALWAYS TRIGGER append_only;

GRANT SELECT, INSERT ON payment_event TO tootsoo_app;
