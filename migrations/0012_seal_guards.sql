-- The application neither chooses a position nor seals what is not there: either, far ahead, would end all sealing.

-- Sealing goes upwards by position, so an event or a seal at nine billion leaves everything after it without a seal.
-- A table's INSERT lets its holder override an identity; the INSERT of columns does not, unless it names that one.
REVOKE INSERT ON payment_event FROM tootsoo_app;
GRANT INSERT (
    gateway, payment_id, kind, ref, invoice_id, gateway_invoice_id, amount_minor, currency, fee_minor, occurred_at,
    occurred_at_source, recorded_at, source, raw, who
) ON payment_event TO tootsoo_app;

-- Not a foreign key: that would write a row lock into each event.
CREATE FUNCTION refuse_seal_of_nothing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM payment_event WHERE position = NEW.position) THEN
        RAISE EXCEPTION 'there is no event at position % to be sealed', NEW.position
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION refuse_seal_of_nothing IS 'Trigger of event_seal: only what was recorded is sealed.';

CREATE TRIGGER of_an_event BEFORE INSERT ON event_seal
    FOR EACH ROW EXECUTE FUNCTION refuse_seal_of_nothing();

UPDATE installation SET compatible_since = '0012_seal_guards';
