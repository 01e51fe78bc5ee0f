-- Keys of the HTTP API.

-- name: insert_key(id, name, secret_sha256, now)!
-- Keep a new key: its secret half as a hash.
INSERT INTO api_key (id, name, secret_sha256, created_at)
VALUES (:id, :name, :secret_sha256, :now);

-- name: read_key(id)^
-- Read what is needed to accept or refuse a key.
SELECT name, secret_sha256, revoked_at
FROM api_key
WHERE id = :id;

-- name: list_keys()
-- Read all keys, oldest first.
SELECT id, name, created_at, revoked_at
FROM api_key
ORDER BY created_at, id;

-- name: revoke_key(id, now)!
-- Refuse a key from now on; one that was revoked keeps its time.
UPDATE api_key SET revoked_at = coalesce(revoked_at, :now)
WHERE id = :id;
