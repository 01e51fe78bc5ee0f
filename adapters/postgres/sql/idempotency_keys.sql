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

-- name: keep_answer(key, body, now)!
-- Keep what was answered, unless an answer was kept before.
INSERT INTO kept_answer (key, body, answered_at)
VALUES (:key, :body, :now)
ON CONFLICT (key) DO NOTHING;

-- name: read_answer(key)$
-- Read what was answered first.
SELECT body
FROM kept_answer
WHERE key = :key;

-- name: forget_answers(earlier)!
-- Remove the answers that were given before a time.
DELETE FROM kept_answer
WHERE answered_at < :earlier;
