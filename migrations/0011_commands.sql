-- What people's commands leave behind besides events: their keys, and what a gateway was asked to give back.

CREATE TABLE idempotency_key (
    key      text COLLATE "C" PRIMARY KEY CHECK (char_length(key) BETWEEN 1 AND 100),
    digest   bytea NOT NULL CHECK (octet_length(digest) = 32),
    taken_at timestamptz NOT NULL
);
COMMENT ON TABLE idempotency_key IS 'Append-only: what each caller''s key stands for, over all commands and payments. The same again is done once, anything else is refused.';
COMMENT ON COLUMN idempotency_key.key IS 'The caller''s own.';
COMMENT ON COLUMN idempotency_key.digest IS 'SHA-256 of the command and all that it asked for.';
COMMENT ON COLUMN idempotency_key.taken_at IS 'When it was first given.';

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON idempotency_key
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE idempotency_key ENABLE ALWAYS TRIGGER append_only;

GRANT SELECT, INSERT ON idempotency_key TO tootsoo_app;

CREATE TABLE gateway_refund (
    key                text COLLATE "C" PRIMARY KEY REFERENCES idempotency_key,
    gateway            text COLLATE "C" NOT NULL,
    payment_id         text COLLATE "C" NOT NULL,
    gateway_invoice_id uuid NOT NULL REFERENCES gateway_invoice,
    invoice_id         text COLLATE "C" REFERENCES invoice,
    amount_minor       bigint NOT NULL CHECK (amount_minor > 0),
    currency           text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    reason             text NOT NULL CHECK (char_length(reason) <= 1000),
    who                text NOT NULL CHECK (char_length(who) <= 100),
    state              text NOT NULL CHECK (state IN ('asked', 'given', 'refused', 'not_acted', 'not_given')),
    asked_at           timestamptz NOT NULL DEFAULT now(),
    answered_at        timestamptz,
    answer             text,
    CHECK ((state = 'asked') = (answered_at IS NULL))
);
CREATE UNIQUE INDEX one_refund_underway ON gateway_refund (gateway, payment_id) WHERE state = 'asked';
COMMENT ON TABLE gateway_refund IS 'That a gateway is asked to give a whole payment back: written before it is asked, so that nobody gives it back a second time by another way.';
COMMENT ON COLUMN gateway_refund.key IS 'The caller''s key of the command.';
COMMENT ON COLUMN gateway_refund.gateway IS 'Who is asked.';
COMMENT ON COLUMN gateway_refund.payment_id IS 'The gateway''s id of the payment.';
COMMENT ON COLUMN gateway_refund.gateway_invoice_id IS 'The QR that it was paid on: a check of it shows what became of the refund.';
COMMENT ON COLUMN gateway_refund.invoice_id IS 'The invoice that held it; null is suspense.';
COMMENT ON COLUMN gateway_refund.amount_minor IS 'All of the payment, in minor units (MNT: möngö).';
COMMENT ON COLUMN gateway_refund.currency IS 'ISO 4217 code of the amount.';
COMMENT ON COLUMN gateway_refund.reason IS 'Why, in the words of whoever asked.';
COMMENT ON COLUMN gateway_refund.who IS 'Who asked.';
COMMENT ON COLUMN gateway_refund.state IS 'asked (on its way, or nobody knows the outcome), given (and recorded), refused, not_acted (certainly), not_given (a later check still shows it paid).';
COMMENT ON COLUMN gateway_refund.asked_at IS 'When the gateway was about to be asked. PostgreSQL''s clock.';
COMMENT ON COLUMN gateway_refund.answered_at IS 'When the outcome was known.';
COMMENT ON COLUMN gateway_refund.answer IS 'The gateway''s words, or why none came.';

GRANT SELECT, INSERT ON gateway_refund TO tootsoo_app;
GRANT UPDATE (state, asked_at, answered_at, answer) ON gateway_refund TO tootsoo_app;

CREATE FUNCTION refuse_while_gateway_refunds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM gateway_refund
        WHERE gateway = NEW.gateway AND payment_id = NEW.payment_id AND state = 'asked' AND key <> NEW.ref
    ) THEN
        RAISE EXCEPTION 'a refund of this payment at its gateway is under way' USING ERRCODE = 'TS001';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION refuse_while_gateway_refunds IS 'Trigger: while a gateway may be giving a payment back, no person gives back or moves any of it. What a check proves is recorded all the same.';

-- Under the lock of the payment, which every person's command and every intent takes. What a gateway's answer proves
-- (its ref begins so, and no caller's key does) does not even call it.
CREATE TRIGGER no_second_refund BEFORE INSERT ON payment_event
    FOR EACH ROW WHEN (NEW.kind IN ('refunded', 'unassigned') AND NEW.ref NOT LIKE 'gateway%')
    EXECUTE FUNCTION refuse_while_gateway_refunds();
