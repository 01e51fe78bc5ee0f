-- When a payment that could not be looked up is asked for again, so that one that never can holds up no other.

ALTER TABLE found_payment
    ADD COLUMN look_failures integer NOT NULL DEFAULT 0,
    ADD COLUMN next_look_at timestamptz;
COMMENT ON COLUMN found_payment.look_failures IS 'How often the gateway gave no answer when it was asked for by its id, in a row.';
COMMENT ON COLUMN found_payment.next_look_at IS 'Not to be asked for before; null where it may be. PostgreSQL''s clock.';
