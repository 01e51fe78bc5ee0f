-- Seals of payment events: what is to be sealed, and what was.

-- name: try_lock(lock)$
-- Become the one sealer until this transaction ends, or learn that there is another.
SELECT pg_try_advisory_xact_lock(:lock);

-- name: events_between(first, last, page)
-- Read events in the order of positions, both ends included, every value as text that even a forged row can give.
-- to_char knows neither infinity nor an era: what only a forger would write there is shown as PostgreSQL shows it.
SELECT position, gateway, payment_id, kind, ref, invoice_id, gateway_invoice_id::text AS gateway_invoice_id,
    amount_minor, currency, fee_minor,
    coalesce(
        CASE WHEN occurred_at >= '0001-01-01T00:00:00Z'
            THEN to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') END,
        occurred_at::text
    ) AS occurred_at,
    occurred_at_source,
    coalesce(
        CASE WHEN recorded_at >= '0001-01-01T00:00:00Z'
            THEN to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') END,
        recorded_at::text
    ) AS recorded_at,
    source, raw::text AS raw, who
FROM payment_event
WHERE position >= :first AND position <= :last
ORDER BY position
LIMIT :page;

-- name: seals_between(first, last, page)
-- Read seals in the order of positions, both ends included.
SELECT number, position,
    coalesce(
        CASE WHEN sealed_at >= '0001-01-01T00:00:00Z'
            THEN to_char(sealed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') END,
        sealed_at::text
    ) AS sealed_at,
    key_id, seal
FROM event_seal
WHERE position >= :first AND position <= :last
ORDER BY position
LIMIT :page;

-- name: head()^
-- Read the newest seal.
SELECT number, position, seal
FROM event_seal
ORDER BY position DESC
LIMIT 1;

-- name: seal_at(position)$
-- Read the seal of one event.
SELECT seal
FROM event_seal
WHERE position = :position;

-- name: passed_over()$
-- Read the newest event below the newest seal, if it has no seal: the sealer goes upwards and will not come back to it.
SELECT below.position
FROM (SELECT position FROM event_seal ORDER BY position DESC LIMIT 1) AS head,
    LATERAL (
        SELECT position FROM payment_event WHERE position < head.position ORDER BY position DESC LIMIT 1
    ) AS below
WHERE NOT EXISTS (SELECT FROM event_seal AS s WHERE s.position = below.position);

-- name: insert_seals(numbers, positions, seals, sealed_at, key_id)!
-- Append seals; one of a position that is sealed already is an error.
INSERT INTO event_seal (number, position, sealed_at, key_id, seal)
SELECT number, position, :sealed_at::timestamptz, :key_id, seal
FROM unnest(:numbers::bigint[], :positions::bigint[], :seals::bytea[]) AS s (number, position, seal);

-- name: has_seal_of(key_ids)$
-- Tell whether any seal says that it was made with one of these keys.
SELECT EXISTS (SELECT FROM event_seal WHERE key_id = ANY (:key_ids::text[]));

-- name: newest_key_id()$
-- Read which key the newest seal says that it was made with.
SELECT key_id
FROM event_seal
ORDER BY position DESC
LIMIT 1;

-- name: count_events_from(first)$
-- Count the events from a position on.
SELECT count(*)
FROM payment_event
WHERE position >= :first;

-- name: unsealed_since(first, before)^
-- Read how many events from a position on were recorded before a time, the first of them, and since when.
SELECT count(*) AS count, min(position) AS position, min(recorded_at)::text AS since
FROM payment_event
WHERE position >= :first AND recorded_at < :before::timestamptz;
