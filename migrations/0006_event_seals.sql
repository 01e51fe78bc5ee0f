-- The seals of payment events: a keyed chain by which a change that the triggers did not stop is found.

CREATE TABLE event_seal (
    position  bigint PRIMARY KEY,
    number    bigint NOT NULL CHECK (number >= 1),
    sealed_at timestamptz NOT NULL,
    key_id    text COLLATE "C" NOT NULL CHECK (key_id ~ '^[0-9a-f]{8}$'),
    seal      bytea NOT NULL CHECK (octet_length(seal) = 32)
);
-- No reference to payment_event: it would write a row lock into each event, and prove nothing that the seal does not.
COMMENT ON TABLE event_seal IS 'Append-only: one seal a payment event, in the order of positions, each computed over the one before and a key that is not in the database.';
COMMENT ON COLUMN event_seal.position IS 'The position of the sealed payment event.';
COMMENT ON COLUMN event_seal.number IS '1 for the first seal, then one more each: a missing one is noticed, and the last is the count.';
COMMENT ON COLUMN event_seal.sealed_at IS 'When it was sealed; covered by the seal.';
COMMENT ON COLUMN event_seal.key_id IS 'Which secret the key was made of, while secrets are rotated; tells nothing about it.';
COMMENT ON COLUMN event_seal.seal IS 'HMAC-SHA256 over the number, the seal before, the time, and the event''s canonical text.';

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event_seal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE event_seal ENABLE ALWAYS TRIGGER append_only;

GRANT SELECT, INSERT ON event_seal TO tootsoo_app;
