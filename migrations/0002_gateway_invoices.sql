-- One QR at one gateway, and the request to check it.

CREATE TABLE gateway_invoice (
    id                  uuid PRIMARY KEY,
    invoice_id          text COLLATE "C" NOT NULL REFERENCES invoice,
    gateway             text COLLATE "C" NOT NULL,
    generation          integer NOT NULL CHECK (generation >= 1),
    number              text COLLATE "C" NOT NULL,
    external_id         text COLLATE "C",
    amount_minor        bigint NOT NULL CHECK (amount_minor > 0),
    currency            text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    state               text NOT NULL CHECK (state IN (
            'issuing', 'open', 'failed', 'settled', 'closing', 'superseded', 'cancelled', 'expired')),
    kept_open           boolean NOT NULL DEFAULT false,
    next_close_at       timestamptz,
    close_attempts      integer NOT NULL DEFAULT 0,
    qr_text             text,
    qr_image            text,
    short_url           text,
    links               jsonb NOT NULL DEFAULT '[]',
    issued_at           timestamptz NOT NULL,
    expires_at          timestamptz NOT NULL,
    issue_deadline      timestamptz NOT NULL,
    requested           bigint NOT NULL DEFAULT 0,
    served              bigint NOT NULL DEFAULT 0 CHECK (served <= requested),
    request_source      text,
    next_check_at       timestamptz,
    rung_at             timestamptz,
    checked_at          timestamptz,
    lease_token         uuid,
    lease_until         timestamptz,
    attempts            integer NOT NULL DEFAULT 0,
    failure_code        text,
    last_error          text,
    awaited_payment_ids text[] NOT NULL DEFAULT '{}',
    awaited_since       timestamptz,
    UNIQUE (invoice_id, gateway, generation),
    UNIQUE (gateway, number),
    UNIQUE (gateway, external_id),
    CHECK ((lease_token IS NULL) = (lease_until IS NULL)),
    CHECK (state IN ('issuing', 'failed') OR (external_id IS NOT NULL AND qr_text IS NOT NULL))
);
CREATE UNIQUE INDEX one_live_gateway_invoice ON gateway_invoice (invoice_id, gateway)
    WHERE state IN ('issuing', 'open', 'closing');
CREATE INDEX gateway_invoice_closing ON gateway_invoice (next_close_at) WHERE state = 'closing';
CREATE INDEX gateway_invoice_due ON gateway_invoice (next_check_at) WHERE requested > served;
COMMENT ON TABLE gateway_invoice IS 'One QR at one gateway for one invoice, generation after generation, with the request to check it.';
COMMENT ON COLUMN gateway_invoice.id IS 'Ours; named in the callback''s token.';
COMMENT ON COLUMN gateway_invoice.invoice_id IS 'The invoice that it collects for.';
COMMENT ON COLUMN gateway_invoice.gateway IS 'The gateway''s name: qpay.';
COMMENT ON COLUMN gateway_invoice.generation IS '1 for the invoice''s first QR at this gateway, then 2, 3, …';
COMMENT ON COLUMN gateway_invoice.number IS 'Our number at the gateway: the invoice id, then id-g2, id-g3, …';
COMMENT ON COLUMN gateway_invoice.external_id IS 'The gateway''s own id; null until it has answered.';
COMMENT ON COLUMN gateway_invoice.amount_minor IS 'What the QR asks for, in minor units; never changes.';
COMMENT ON COLUMN gateway_invoice.currency IS 'ISO 4217 code of the amount.';
COMMENT ON COLUMN gateway_invoice.state IS 'issuing -> open | failed; open -> settled | closing | expired; closing -> superseded | cancelled | settled.';
COMMENT ON COLUMN gateway_invoice.kept_open IS 'The gateway does not cancel it because a part was paid, and the rest is just what the invoice lacks.';
COMMENT ON COLUMN gateway_invoice.next_close_at IS 'Not before: when a closing one is tried again. PostgreSQL''s clock.';
COMMENT ON COLUMN gateway_invoice.close_attempts IS 'How often a closing one was tried.';
COMMENT ON COLUMN gateway_invoice.qr_text IS 'What the QR says.';
COMMENT ON COLUMN gateway_invoice.qr_image IS 'Base64 PNG, where the gateway sent one.';
COMMENT ON COLUMN gateway_invoice.short_url IS 'The gateway''s own page for the QR.';
COMMENT ON COLUMN gateway_invoice.links IS 'Deep links into bank applications: [{name, description, logo, link}].';
COMMENT ON COLUMN gateway_invoice.issued_at IS 'When the create was meant.';
COMMENT ON COLUMN gateway_invoice.expires_at IS 'Until when the QR may be paid.';
COMMENT ON COLUMN gateway_invoice.issue_deadline IS 'An issuing one whose outcome is unknown is given up after this.';
COMMENT ON COLUMN gateway_invoice.requested IS 'Counts the checks that were asked for.';
COMMENT ON COLUMN gateway_invoice.served IS 'The count that a finished check has answered; behind requested means a check is due.';
COMMENT ON COLUMN gateway_invoice.request_source IS 'What asked last: callback, sweep, refresh or command.';
COMMENT ON COLUMN gateway_invoice.next_check_at IS 'Not before: spacing, re-checks and back-off. PostgreSQL''s clock.';
COMMENT ON COLUMN gateway_invoice.rung_at IS 'When a worker was last woken for it; null when it should be woken as soon as it is due.';
COMMENT ON COLUMN gateway_invoice.checked_at IS 'When its last check began.';
COMMENT ON COLUMN gateway_invoice.lease_token IS 'Who may write the outcome of the running check.';
COMMENT ON COLUMN gateway_invoice.lease_until IS 'When that check is taken for dead.';
COMMENT ON COLUMN gateway_invoice.attempts IS 'Checks begun since the last one that was finished.';
COMMENT ON COLUMN gateway_invoice.failure_code IS 'The gateway''s code where it refused to create the QR; GIVEN_UP where nobody learnt what it did.';
COMMENT ON COLUMN gateway_invoice.last_error IS 'Why the create or the last check failed.';
COMMENT ON COLUMN gateway_invoice.awaited_payment_ids IS 'Named by callbacks and not yet shown by the gateway: a hint to look again, never evidence.';
COMMENT ON COLUMN gateway_invoice.awaited_since IS 'When the last of them was named for the first time: it is looked for again some time after.';

GRANT SELECT, INSERT, UPDATE ON gateway_invoice TO tootsoo_app;
