-- How far the committed events reach without a gap that may still be filled.

-- name: horizon()^
-- Read the highest committed position, and the transactions that write events now and may still commit lower ones.
-- An INSERT locks its table before it takes a position and until it has ended, so whoever holds a position below the
-- highest has either ended by now or is among the writers.
SELECT coalesce(max(position), 0) AS position,
    ARRAY(
        SELECT DISTINCT virtualtransaction
        FROM pg_locks
        WHERE locktype = 'relation' AND relation = 'payment_event'::regclass
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND mode = 'RowExclusiveLock' AND granted AND pid IS DISTINCT FROM pg_backend_pid()
    ) AS writers
FROM payment_event;

-- name: any_writes(writers)$
-- Tell whether any of these transactions still holds its lock on the events.
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'relation' AND relation = 'payment_event'::regclass
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND mode = 'RowExclusiveLock' AND granted AND virtualtransaction = ANY (:writers::text[])
);
