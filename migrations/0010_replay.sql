-- Replay may remove a payment that no event knows: with such a row in its way a payment of that id could never be
-- recorded. The trigger keeps every other row of the projection from being removed.

CREATE FUNCTION refuse_removal_of_known_payment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM tootsoo.payment_event WHERE gateway = OLD.gateway AND payment_id = OLD.payment_id
    ) THEN
        RAISE EXCEPTION 'payment % of % has events: it is not removed', OLD.payment_id, OLD.gateway
            USING ERRCODE = 'insufficient_privilege', HINT = 'tootsoo replay writes what its events come to.';
    END IF;
    RETURN OLD;
END
$$;
COMMENT ON FUNCTION refuse_removal_of_known_payment IS 'Trigger of payment: only a row without any event may be removed.';

CREATE TRIGGER only_without_events BEFORE DELETE ON payment
    FOR EACH ROW EXECUTE FUNCTION refuse_removal_of_known_payment();

GRANT DELETE ON payment TO tootsoo_app;
