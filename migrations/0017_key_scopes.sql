-- What a key of the API may do, and when it was last used.

ALTER TABLE api_key
    ADD COLUMN scopes text[] NOT NULL DEFAULT '{read,write}'
        CHECK (cardinality(scopes) BETWEEN 1 AND 2 AND scopes <@ '{read,write}'),
    ADD COLUMN last_used_at timestamptz;
COMMENT ON COLUMN api_key.scopes IS 'read: what asks; write: what changes something or asks a gateway. Keys from before there were scopes have both.';
COMMENT ON COLUMN api_key.last_used_at IS 'When it was last accepted, to the minute; null until then.';

GRANT UPDATE (last_used_at) ON api_key TO tootsoo_app;
