-- Keys of people's commands, and what each stands for.

-- name: insert_key(key, digest, now)!
-- Take a key, unless it was taken before.
INSERT INTO idempotency_key (key, digest, taken_at)
VALUES (:key, :digest, :now)
ON CONFLICT (key) DO NOTHING;

-- name: read_digest(key)$
-- Read what a key stands for.
SELECT digest
FROM idempotency_key
WHERE key = :key;
