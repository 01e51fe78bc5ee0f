-- Payments as their events make them, money of no known invoice, and questions for a person.

CREATE TABLE payment (
    gateway        text COLLATE "C" NOT NULL,
    payment_id     text COLLATE "C" NOT NULL,
    invoice_id     text COLLATE "C" REFERENCES invoice,
    currency       text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    received_minor bigint NOT NULL DEFAULT 0 CHECK (received_minor >= 0),
    refunded_minor bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (gateway, payment_id),
    CONSTRAINT never_more_refunded_than_received CHECK (refunded_minor <= received_minor)
);
COMMENT ON TABLE payment IS 'Projection of payment_event, one row a payment; locked by whatever decides about the payment.';
COMMENT ON COLUMN payment.gateway IS 'Who knows the payment.';
COMMENT ON COLUMN payment.payment_id IS 'The gateway''s id of it.';
COMMENT ON COLUMN payment.invoice_id IS 'The invoice that it was received on or last assigned to; null is suspense.';
COMMENT ON COLUMN payment.currency IS 'ISO 4217 code of its amounts.';
COMMENT ON COLUMN payment.received_minor IS 'What came, in minor units (MNT: möngö).';
COMMENT ON COLUMN payment.refunded_minor IS 'What was given back, by whatever way.';

CREATE TABLE suspense_balance (
    gateway        text COLLATE "C" NOT NULL,
    currency       text COLLATE "C" NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    received_minor bigint NOT NULL DEFAULT 0,
    refunded_minor bigint NOT NULL DEFAULT 0,
    net_minor      bigint NOT NULL GENERATED ALWAYS AS (received_minor - refunded_minor) STORED,
    PRIMARY KEY (gateway, currency)
);
COMMENT ON TABLE suspense_balance IS 'Projection of payment_event without an invoice: money that waits to be assigned.';
COMMENT ON COLUMN suspense_balance.gateway IS 'Who holds it, or paid it out.';
COMMENT ON COLUMN suspense_balance.currency IS 'ISO 4217 code of its amounts.';
COMMENT ON COLUMN suspense_balance.received_minor IS 'Received without an invoice, less what was assigned to one, in minor units.';
COMMENT ON COLUMN suspense_balance.refunded_minor IS 'Given back without ever having had an invoice.';
COMMENT ON COLUMN suspense_balance.net_minor IS 'received - refunded: what waits.';

CREATE TABLE discrepancy (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind          text COLLATE "C" NOT NULL,
    gateway       text COLLATE "C" NOT NULL,
    subject       text COLLATE "C" NOT NULL,
    fingerprint   text COLLATE "C" NOT NULL,
    invoice_id    text COLLATE "C" REFERENCES invoice,
    payment_id    text COLLATE "C",
    detail        text NOT NULL,
    state         text NOT NULL CHECK (state IN ('suspected', 'open', 'resolved', 'withdrawn')),
    seen          integer NOT NULL DEFAULT 1,
    first_seen_at timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL,
    resolved_at   timestamptz,
    resolved_by   text,
    resolution    text,
    UNIQUE (kind, gateway, subject, fingerprint),
    CHECK ((state = 'resolved') = (resolved_at IS NOT NULL AND resolved_by IS NOT NULL AND resolution IS NOT NULL))
);
CREATE INDEX discrepancy_open ON discrepancy (id) WHERE state = 'open';
CREATE INDEX discrepancy_of_payment ON discrepancy (gateway, payment_id) WHERE state = 'suspected';
COMMENT ON TABLE discrepancy IS 'Questions for a person. They move no money; the answer is an action of its own.';
COMMENT ON COLUMN discrepancy.id IS 'By which it is shown and resolved.';
COMMENT ON COLUMN discrepancy.kind IS 'Why a person should look, such as changed_amount; see the glossary.';
COMMENT ON COLUMN discrepancy.gateway IS 'Who told.';
COMMENT ON COLUMN discrepancy.subject IS 'What it is about: a payment, an invoice, or the digest of a row that cannot be read.';
COMMENT ON COLUMN discrepancy.fingerprint IS 'What would make it another question about the same subject.';
COMMENT ON COLUMN discrepancy.invoice_id IS 'The invoice, where there is one.';
COMMENT ON COLUMN discrepancy.payment_id IS 'The payment, where there is one.';
COMMENT ON COLUMN discrepancy.detail IS 'The question in words.';
COMMENT ON COLUMN discrepancy.state IS 'suspected (may be a stale read), open, resolved by a person, or withdrawn by a later check.';
COMMENT ON COLUMN discrepancy.seen IS 'How often it was met.';
COMMENT ON COLUMN discrepancy.first_seen_at IS 'When it was met first.';
COMMENT ON COLUMN discrepancy.last_seen_at IS 'When it was met last.';
COMMENT ON COLUMN discrepancy.resolved_at IS 'When a person answered it.';
COMMENT ON COLUMN discrepancy.resolved_by IS 'Who.';
COMMENT ON COLUMN discrepancy.resolution IS 'What they did and why.';

-- Whatever was recorded before this migration.
INSERT INTO payment (gateway, payment_id, invoice_id, currency, received_minor, refunded_minor)
SELECT gateway, payment_id, max(invoice_id), min(currency),
    coalesce(sum(amount_minor) FILTER (WHERE kind = 'received'), 0),
    coalesce(sum(amount_minor) FILTER (WHERE kind = 'refunded'), 0)
FROM payment_event
GROUP BY gateway, payment_id;

GRANT SELECT, INSERT, UPDATE ON payment, suspense_balance, discrepancy TO tootsoo_app;
