-- What a gateway's list was asked for and what it showed, when a QR is looked at next where there is no list, and by which
-- days' events are found.

CREATE TABLE listed_window (
    gateway   text COLLATE "C" NOT NULL,
    begins_at timestamptz NOT NULL,
    asked_at  timestamptz NOT NULL,
    question  text CHECK (char_length(question) <= 200),
    total     bigint CHECK (total >= 0),
    PRIMARY KEY (gateway, begins_at),
    CHECK (total IS NULL OR question IS NOT NULL)
);
COMMENT ON TABLE listed_window IS 'A quarter of an hour of a gateway''s list that was read to its end: written when all that it showed is committed.';
COMMENT ON COLUMN listed_window.gateway IS 'Whose list.';
COMMENT ON COLUMN listed_window.begins_at IS 'When the window begins.';
COMMENT ON COLUMN listed_window.asked_at IS 'When it was asked for last, on the clock of business times.';
COMMENT ON COLUMN listed_window.question IS 'What was asked for, in the gateway''s words: totals of the same can be compared.';
COMMENT ON COLUMN listed_window.total IS 'How many payments there were: while it is the same nothing is read again. Null where it cannot be relied upon.';

CREATE TABLE found_payment (
    gateway        text COLLATE "C" NOT NULL,
    payment_id     text COLLATE "C" NOT NULL,
    first_found_at timestamptz NOT NULL,
    last_found_at  timestamptz NOT NULL,
    status         text NOT NULL CHECK (char_length(status) <= 40),
    external_id    text COLLATE "C",
    qr_text        text,
    rung           uuid[] NOT NULL DEFAULT '{}',
    rung_at        timestamptz,
    looked_up_at   timestamptz,
    ended_at       timestamptz,
    outcome        text CHECK (outcome IN ('suspense', 'ignored', 'no_money')),
    PRIMARY KEY (gateway, payment_id),
    CHECK ((ended_at IS NULL) = (outcome IS NULL)),
    CHECK ((rung = '{}') = (rung_at IS NULL))
);
CREATE INDEX found_payment_followed ON found_payment (gateway, payment_id) WHERE ended_at IS NULL;
COMMENT ON TABLE found_payment IS 'A payment that a gateway''s list has shown and that is on no invoice yet: followed until it is, or is filed. No evidence.';
COMMENT ON COLUMN found_payment.gateway IS 'Whose list.';
COMMENT ON COLUMN found_payment.payment_id IS 'The gateway''s id of it.';
COMMENT ON COLUMN found_payment.first_found_at IS 'When the list showed it first, on the clock of business times.';
COMMENT ON COLUMN found_payment.last_found_at IS 'When it was last read in the list.';
COMMENT ON COLUMN found_payment.status IS 'What the list called it then.';
COMMENT ON COLUMN found_payment.external_id IS 'What should be the gateway''s id of its gateway invoice, where anything told one.';
COMMENT ON COLUMN found_payment.qr_text IS 'The text of the QR that was paid, likewise.';
COMMENT ON COLUMN found_payment.rung IS 'The QRs of which a check was asked for because of it, in that order.';
COMMENT ON COLUMN found_payment.rung_at IS 'When the last of them was. PostgreSQL''s clock.';
COMMENT ON COLUMN found_payment.looked_up_at IS 'When the gateway was asked for it by its id.';
COMMENT ON COLUMN found_payment.ended_at IS 'When it was followed no more.';
COMMENT ON COLUMN found_payment.outcome IS 'suspense, ignored, or no_money; one that came to its invoice is removed.';

-- In place of the hash index, which takes ever longer over a text that many QRs have.
DROP INDEX gateway_invoice_of_qr_text;
CREATE INDEX gateway_invoice_by_qr_text ON gateway_invoice (gateway, hashtextextended(qr_text, 0));

ALTER TABLE gateway_invoice ADD COLUMN next_poll_at timestamptz;
COMMENT ON COLUMN gateway_invoice.next_poll_at IS 'When it is looked at next, at a gateway that may be polled and has no list; null where it is not. PostgreSQL''s clock.';
CREATE INDEX gateway_invoice_to_poll ON gateway_invoice (gateway, next_poll_at)
    WHERE state = 'open' AND next_poll_at IS NOT NULL;

-- Ranges of pages, as events come in the order of time: it costs an append nothing.
CREATE INDEX payment_event_recorded ON payment_event USING brin (recorded_at) WITH (autosummarize = on);

GRANT SELECT, INSERT, UPDATE, DELETE ON listed_window, found_payment TO tootsoo_app;
