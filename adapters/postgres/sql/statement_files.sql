-- A statement's file on its way in: its lines wait in a temporary table until it is known which of them are new.

-- name: become_the_import(lock)$
-- Let no other import work at the same time; the lock ends with the session.
SELECT pg_try_advisory_lock(:lock);

-- name: step_back(lock)$
-- Let others import.
SELECT pg_advisory_unlock(:lock);

-- name: notice_a_dead_client()#
-- Let the server end this session soon after its client was killed, and with it the lock.
SET client_connection_check_interval TO '2s';

-- name: begin_staging()#
-- Make room for the lines of one file.
DROP TABLE IF EXISTS pg_temp.staged, pg_temp.paged;
CREATE TEMPORARY TABLE staged (
    place integer NOT NULL, number integer NOT NULL, format text COLLATE "C" NOT NULL, bank text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL, posted_on date NOT NULL, posted_at timestamptz NOT NULL, timed boolean NOT NULL,
    direction text COLLATE "C" NOT NULL, amount_minor bigint NOT NULL, currency text COLLATE "C" NOT NULL,
    balance_minor bigint, description text NOT NULL, counterparty_account text COLLATE "C", counterparty_name text,
    reference text COLLATE "C", correction boolean NOT NULL, raw jsonb NOT NULL
);

-- name: stage#
-- Take lines in, one after the other.
COPY staged (
    place, number, format, bank, account, posted_on, posted_at, timed, direction, amount_minor, currency, balance_minor,
    description, counterparty_account, counterparty_name, reference, correction, raw
) FROM STDIN;

-- name: take_time()#
-- Allow the next statements to take long: a file may have a million lines.
SET statement_timeout TO '10min';

-- name: take_as_usual()#
-- Allow them no longer than others.
SET statement_timeout TO '10s';

-- name: page_staged()#
-- Put lines that agree in account, day, direction, amount and currency side by side, where the first of them stands, and
-- give each such group the page on which it begins.
CREATE TEMPORARY TABLE paged AS
SELECT grouped.*, (first_value(ordinal) OVER (
        PARTITION BY account, posted_on, direction, amount_minor, currency ORDER BY ordinal) - 1) / 2000 AS page
FROM (
    SELECT beside.*, row_number() OVER (ORDER BY first, place) AS ordinal
    FROM (
        SELECT staged.*, min(place) OVER (
            PARTITION BY account, posted_on, direction, amount_minor, currency) AS first
        FROM staged
    ) AS beside
) AS grouped;
CREATE INDEX ON paged (page, ordinal);
CREATE INDEX ON paged (account, reference);
ANALYZE paged (page, ordinal, account, reference, posted_on, direction, amount_minor, currency);
DROP TABLE staged;

-- name: last_page()$
-- Read the number of the last page; null when there is no line.
SELECT max(page) FROM paged;

-- name: staged_page(page)
-- Read what tells a page's lines from others, group by group.
SELECT ordinal, correction, description,
    account, posted_on, direction, amount_minor, currency, format, posted_at, timed, balance_minor, reference
FROM paged
WHERE page = :page
ORDER BY ordinal;

-- name: staged_open(page)
-- Read a page of lines as matching needs them.
SELECT ordinal AS id, '' AS key, amount_minor, currency, posted_at, timed, description, counterparty_account,
    counterparty_name, reference
FROM paged
WHERE page = :page;

-- name: kept_like(page)
-- Read the lines that are kept and agree with one of a page.
SELECT l.id,
    l.account, l.posted_on, l.direction, l.amount_minor, l.currency, l.format, l.posted_at, l.timed, l.balance_minor,
    l.reference
FROM (SELECT DISTINCT account, posted_on, direction, amount_minor, currency FROM paged WHERE page = :page) AS g
JOIN statement_line AS l USING (account, posted_on, direction, amount_minor, currency)
ORDER BY l.id;

-- name: kept_under_references(page)
-- Read, for lines of a page, one line that is kept, or stands before it in the file, and has the same reference of the
-- bank but is another line by what it says.
SELECT DISTINCT ON (p.ordinal) p.ordinal, other.line_id, other.number, other.posted_on, other.direction,
    other.amount_minor, other.currency
FROM paged AS p
CROSS JOIN LATERAL (
    SELECT l.id AS line_id, l.number, l.posted_on, l.direction, l.amount_minor, l.currency, l.balance_minor, l.timed,
        l.posted_at
    FROM statement_line AS l
    WHERE l.account = p.account AND l.format = p.format AND l.reference = p.reference
    UNION ALL
    SELECT NULL, e.number, e.posted_on, e.direction, e.amount_minor, e.currency, e.balance_minor, e.timed, e.posted_at
    FROM paged AS e
    WHERE e.account = p.account AND e.reference = p.reference AND e.ordinal < p.ordinal
) AS other
WHERE p.page = :page AND (
    (other.posted_on, other.direction, other.amount_minor, other.currency)
        IS DISTINCT FROM (p.posted_on, p.direction, p.amount_minor, p.currency)
    OR other.balance_minor <> p.balance_minor
    OR (other.timed AND p.timed AND other.posted_at <> p.posted_at)
)
ORDER BY p.ordinal, other.line_id;

-- name: keep(page, import_id, kept, now)$
-- Keep the new lines of a page, each with its outcome; returns how many.
WITH given AS (
    SELECT * FROM jsonb_to_recordset(:kept::jsonb) AS given (
        ordinal bigint, key text, occurrence integer, state text, why text
    )
),
line AS (
    INSERT INTO statement_line (
        key, import_id, number, format, bank, account, posted_on, posted_at, timed, direction, amount_minor, currency,
        balance_minor, occurrence, description, counterparty_account, counterparty_name, reference, correction, raw
    )
    SELECT g.key, :import_id, p.number, p.format, p.bank, p.account, p.posted_on, p.posted_at, p.timed, p.direction,
        p.amount_minor, p.currency, p.balance_minor, g.occurrence, p.description, p.counterparty_account,
        p.counterparty_name, p.reference, p.correction, p.raw
    FROM given AS g
    JOIN paged AS p ON p.page = :page AND p.ordinal = g.ordinal
    ORDER BY p.ordinal
    RETURNING id, key
),
outcome AS (
    INSERT INTO statement_outcome (line_id, state, why, decided_at)
    SELECT line.id, given.state, given.why, CASE WHEN given.state <> 'new' THEN :now::timestamptz END
    FROM line
    JOIN given USING (key)
)
SELECT count(*) FROM line;

-- name: end_staging()#
-- Forget the file.
DROP TABLE IF EXISTS pg_temp.staged, pg_temp.paged;
SET statement_timeout TO '10s';

-- name: begin_import(file_name, file_digest, bank, format, who, now)$
-- Write down that a file is read.
INSERT INTO statement_import (file_name, file_digest, bank, format, who, began_at)
VALUES (:file_name, :file_digest, :bank, :format, :who, :now)
RETURNING id;

-- name: finish_import(id, outcome, now)!
-- Write down what it came to.
UPDATE statement_import SET finished_at = :now, outcome = :outcome::jsonb
WHERE id = :id;

-- name: imported_before(file_digest)$
-- Read when this very file was last read to its end; null when it was not.
SELECT max(finished_at)
FROM statement_import
WHERE file_digest = :file_digest;
