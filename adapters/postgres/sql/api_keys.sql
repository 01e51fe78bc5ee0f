-- Keys of the HTTP API.

-- name: insert_key(id, name, secret_sha256, scopes, now)!
-- Keep a new key: its secret half as a hash.
INSERT INTO api_key (id, name, secret_sha256, scopes, created_at)
VALUES (:id, :name, :secret_sha256, :scopes, :now);

-- name: read_key(id)^
-- Read what is needed to accept or refuse a key.
SELECT id, name, secret_sha256, scopes, revoked_at
FROM api_key
WHERE id = :id;

-- name: note_use(id, now, earlier)!
-- Write down that a key was used, unless that was written down later than `earlier`.
UPDATE api_key SET last_used_at = :now
WHERE id = :id AND (last_used_at IS NULL OR last_used_at <= :earlier);

-- name: list_keys()
-- Read all keys, oldest first.
SELECT id, name, scopes, created_at, last_used_at, revoked_at
FROM api_key
ORDER BY created_at, id;

-- name: revoke_key(id, now)!
-- Refuse a key from now on; one that was revoked keeps its time.
UPDATE api_key SET revoked_at = coalesce(revoked_at, :now)
WHERE id = :id;
