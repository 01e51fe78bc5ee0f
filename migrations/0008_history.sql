-- What explains a balance and is no part of it: checks that were made, callbacks that came, when QRs changed state.

CREATE TABLE gateway_check (
    id                    bigint GENERATED ALWAYS AS IDENTITY,
    gateway_invoice_id    uuid NOT NULL,
    started_at            timestamptz NOT NULL,
    cause                 text NOT NULL,
    gateway_invoice_state text NOT NULL,
    requests              bigint NOT NULL,
    attempt               integer NOT NULL CHECK (attempt >= 1),
    awaited_since         timestamptz,
    finished_at           timestamptz,
    duration_ms           bigint CHECK (duration_ms >= 0),
    outcome               text CHECK (outcome IN ('answered', 'failed')),
    seen_at               timestamptz,
    answer_rows           integer CHECK (answer_rows >= 0),
    answer                jsonb CHECK (jsonb_array_length(answer) <= 20),
    new_events            integer CHECK (new_events >= 0),
    new_discrepancies     integer CHECK (new_discrepancies >= 0),
    error                 text CHECK (char_length(error) <= 500),
    PRIMARY KEY (gateway_invoice_id, id),
    CHECK ((outcome IS NULL) = (finished_at IS NULL AND duration_ms IS NULL)),
    CHECK ((outcome IS NOT DISTINCT FROM 'failed') = (error IS NOT NULL)),
    CHECK ((outcome IS NOT DISTINCT FROM 'answered') = (
        seen_at IS NOT NULL AND answer_rows IS NOT NULL AND answer IS NOT NULL
        AND new_events IS NOT NULL AND new_discrepancies IS NOT NULL
    ))
) WITH (fillfactor = 60);
-- Room in each page: a check is updated once, with its outcome, and no index has to learn of it.
CREATE INDEX gateway_check_age ON gateway_check (started_at);
-- No reference to gateway_invoice: the statement that inserts has just updated that row, and none is ever deleted.
COMMENT ON TABLE gateway_check IS 'Each check of a QR, from the moment it was claimed; kept for HISTORY_DAYS. Explains, and decides nothing.';
COMMENT ON COLUMN gateway_check.id IS 'Identity; in the order in which one QR''s checks began.';
COMMENT ON COLUMN gateway_check.gateway_invoice_id IS 'The QR that was asked about.';
COMMENT ON COLUMN gateway_check.started_at IS 'When it was claimed. PostgreSQL''s clock, as the lease.';
COMMENT ON COLUMN gateway_check.cause IS 'What asked for it last: callback, sweep, refresh or command.';
COMMENT ON COLUMN gateway_check.gateway_invoice_state IS 'The QR''s state when it began: a QR that is closing is looked at once more.';
COMMENT ON COLUMN gateway_check.requests IS 'How many requests it answers.';
COMMENT ON COLUMN gateway_check.attempt IS '1 for the first check since one was finished.';
COMMENT ON COLUMN gateway_check.awaited_since IS 'Since when a payment was looked for that a callback had named and the gateway did not show yet.';
COMMENT ON COLUMN gateway_check.finished_at IS 'When its outcome was written. PostgreSQL''s clock. Null for good when whoever made it died over it.';
COMMENT ON COLUMN gateway_check.duration_ms IS 'How long the gateway took to answer, or to fail, as its caller measured.';
COMMENT ON COLUMN gateway_check.outcome IS 'answered, or failed: no answer, and it is tried again. Null while it runs.';
COMMENT ON COLUMN gateway_check.seen_at IS 'When the answer was read, on the clock of business times: recorded_at of the events that it proved.';
COMMENT ON COLUMN gateway_check.answer_rows IS 'How many payments the gateway showed.';
COMMENT ON COLUMN gateway_check.answer IS 'The first 20 of them: [{paymentId, status, amountMinor, currency}], or {unreadable: why}.';
COMMENT ON COLUMN gateway_check.new_events IS 'How many events it proved that were not recorded before.';
COMMENT ON COLUMN gateway_check.new_discrepancies IS 'How many questions it opened.';
COMMENT ON COLUMN gateway_check.error IS 'Why there was no answer.';

CREATE TABLE callback (
    gateway_invoice_id uuid PRIMARY KEY,
    first_at           timestamptz NOT NULL,
    last_at            timestamptz NOT NULL CHECK (last_at >= first_at),
    count              bigint NOT NULL CHECK (count >= 1),
    announced          text CHECK (char_length(announced) <= 100)
) WITH (fillfactor = 60);
-- Likewise: a callback is one update. An index on last_at would grow with each, for a look once a day.
COMMENT ON TABLE callback IS 'How often a QR''s callback came; kept until HISTORY_DAYS after the last. Nothing in a callback is believed.';
COMMENT ON COLUMN callback.gateway_invoice_id IS 'The QR that the callback''s token names.';
COMMENT ON COLUMN callback.first_at IS 'When the first one was taken in. PostgreSQL''s clock.';
COMMENT ON COLUMN callback.last_at IS 'When the last one was. PostgreSQL''s clock.';
COMMENT ON COLUMN callback.count IS 'How many were taken in; forged ones are refused and not counted.';
COMMENT ON COLUMN callback.announced IS 'The payment that was named last: a hint, never evidence.';

GRANT SELECT, INSERT, UPDATE, DELETE ON gateway_check, callback TO tootsoo_app;

ALTER TABLE gateway_invoice
    ADD COLUMN opened_at timestamptz,
    ADD COLUMN closing_at timestamptz,
    ADD COLUMN ended_at timestamptz;
COMMENT ON COLUMN gateway_invoice.opened_at IS 'When the gateway''s answer to the create was saved. PostgreSQL''s clock; null before, and where it was before migration 0008.';
COMMENT ON COLUMN gateway_invoice.closing_at IS 'When it was last to be made unpayable. PostgreSQL''s clock; null likewise.';
COMMENT ON COLUMN gateway_invoice.ended_at IS 'When it became failed, settled, superseded, cancelled or expired. PostgreSQL''s clock; null likewise.';

CREATE FUNCTION stamp_gateway_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CASE NEW.state
        WHEN 'open' THEN NEW.opened_at := coalesce(NEW.opened_at, CASE OLD.state WHEN 'issuing' THEN now() END);
        WHEN 'closing' THEN NEW.closing_at := now();
        WHEN 'failed', 'settled', 'superseded', 'cancelled', 'expired' THEN NEW.ended_at := now();
        ELSE NULL;
    END CASE;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION stamp_gateway_invoice IS 'Trigger: writes down when a gateway invoice changed state, whichever statement changes it.';

CREATE TRIGGER stamp_state BEFORE UPDATE OF state ON gateway_invoice
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION stamp_gateway_invoice();

-- By which the questions of one invoice, or of one payment, are found whatever their state.
CREATE INDEX discrepancy_of_invoice ON discrepancy (invoice_id);
CREATE INDEX discrepancy_of_subject ON discrepancy (gateway, payment_id);
