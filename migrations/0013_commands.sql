-- What people's commands leave behind besides events: the keys that they were given with.

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
