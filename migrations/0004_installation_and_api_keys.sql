-- Which environment this database belongs to, and who may call the API.

CREATE TABLE installation (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    qpay_env   text NOT NULL CHECK (qpay_env IN ('sandbox', 'production')),
    stamped_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE installation IS 'One row: a database of one QPay environment is refused by processes of the other.';
COMMENT ON COLUMN installation.only_row IS 'Keeps it at one row.';
COMMENT ON COLUMN installation.qpay_env IS 'sandbox or production, as the first migration was told.';
COMMENT ON COLUMN installation.stamped_at IS 'When.';

CREATE TABLE api_key (
    id            text COLLATE "C" PRIMARY KEY,
    name          text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    secret_sha256 bytea NOT NULL CHECK (octet_length(secret_sha256) = 32),
    created_at    timestamptz NOT NULL,
    revoked_at    timestamptz
);
COMMENT ON TABLE api_key IS 'Keys of the HTTP API; the secret half is random, so its plain SHA-256 is enough.';
COMMENT ON COLUMN api_key.id IS 'The public half of the key, by which it is found, listed and revoked.';
COMMENT ON COLUMN api_key.name IS 'Whose key it is.';
COMMENT ON COLUMN api_key.secret_sha256 IS 'SHA-256 of the secret half.';
COMMENT ON COLUMN api_key.created_at IS 'When it was made.';
COMMENT ON COLUMN api_key.revoked_at IS 'Since when it is refused.';

GRANT SELECT ON installation TO tootsoo_app;
GRANT SELECT, INSERT ON api_key TO tootsoo_app;
GRANT UPDATE (revoked_at) ON api_key TO tootsoo_app;
