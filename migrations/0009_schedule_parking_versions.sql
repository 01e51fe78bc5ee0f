-- What the schedule has had done, what is tried no more until a person says so, and which versions may work here.

CREATE TABLE schedule_run (
    job         text COLLATE "C" NOT NULL CHECK (job ~ '^[a-z][a-z_]{0,39}$'),
    period      text COLLATE "C" NOT NULL CHECK (period ~ '^[0-9-]{1,20}$'),
    id          bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    begun_at    timestamptz NOT NULL,
    next_try_at timestamptz NOT NULL,
    rung_at     timestamptz,
    attempts    integer NOT NULL DEFAULT 0,
    lease_token uuid,
    lease_until timestamptz,
    finished_at timestamptz,
    outcome     text CHECK (outcome IN ('done', 'failed')),
    result      text CHECK (char_length(result) <= 500),
    PRIMARY KEY (job, period),
    CHECK ((lease_token IS NULL) = (lease_until IS NULL)),
    CHECK ((finished_at IS NULL) = (outcome IS NULL)),
    CHECK (finished_at IS NULL OR lease_token IS NULL)
);
CREATE INDEX schedule_run_of_job ON schedule_run (job, id);
CREATE INDEX schedule_run_unfinished ON schedule_run (id) WHERE finished_at IS NULL;
COMMENT ON TABLE schedule_run IS 'Each period of each job of the schedule, once: whoever inserts it has decided that it is run, whoever holds the lease runs it.';
COMMENT ON COLUMN schedule_run.job IS 'The job: seal, housekeeping, …';
COMMENT ON COLUMN schedule_run.period IS 'A night''s date in TIMEZONE, or a running number for jobs that come every so many seconds.';
COMMENT ON COLUMN schedule_run.id IS 'In the order of being entered, whatever clocks say; named in the message that wakes a worker.';
COMMENT ON COLUMN schedule_run.begun_at IS 'When it was entered.';
COMMENT ON COLUMN schedule_run.next_try_at IS 'Not before: when it is tried, or tried again. PostgreSQL''s clock.';
COMMENT ON COLUMN schedule_run.rung_at IS 'When a worker was last woken for it.';
COMMENT ON COLUMN schedule_run.attempts IS 'How often a worker has begun it.';
COMMENT ON COLUMN schedule_run.lease_token IS 'Who may write how it ended.';
COMMENT ON COLUMN schedule_run.lease_until IS 'When its holder is taken for dead; put off while it works.';
COMMENT ON COLUMN schedule_run.finished_at IS 'When it was done or given up; null until then.';
COMMENT ON COLUMN schedule_run.outcome IS 'done or failed.';
COMMENT ON COLUMN schedule_run.result IS 'What it came to in words, or why the last attempt failed.';

GRANT SELECT, INSERT, UPDATE, DELETE ON schedule_run TO tootsoo_app;

ALTER TABLE gateway_invoice
    ADD COLUMN deaths          integer NOT NULL DEFAULT 0,
    ADD COLUMN parked_at       timestamptz,
    ADD COLUMN parked_code     text CHECK (char_length(parked_code) <= 100),
    ADD COLUMN parked_reason   text CHECK (char_length(parked_reason) <= 500),
    ADD COLUMN close_failures  integer NOT NULL DEFAULT 0,
    ADD COLUMN close_code      text CHECK (char_length(close_code) <= 100),
    ADD COLUMN close_error     text CHECK (char_length(close_error) <= 500),
    ADD COLUMN close_parked_at timestamptz;
-- Per gateway, so that each is rung for however much is due at another. In place of the one over all of them.
CREATE INDEX gateway_invoice_to_check ON gateway_invoice (gateway, next_check_at)
    WHERE requested > served AND parked_at IS NULL;
DROP INDEX gateway_invoice_due;
CREATE INDEX gateway_invoice_to_close ON gateway_invoice (gateway, next_close_at)
    WHERE state = 'closing' AND close_parked_at IS NULL;
DROP INDEX gateway_invoice_closing;
CREATE INDEX gateway_invoice_parked ON gateway_invoice (parked_at) WHERE parked_at IS NOT NULL;
CREATE INDEX gateway_invoice_close_parked ON gateway_invoice (close_parked_at) WHERE close_parked_at IS NOT NULL;
COMMENT ON COLUMN gateway_invoice.deaths IS 'Holders in a row that took its check and neither finished nor gave it back.';
COMMENT ON COLUMN gateway_invoice.parked_at IS 'Since when its check is not tried any more until a person, or a new request after an hour, asks for it.';
COMMENT ON COLUMN gateway_invoice.parked_code IS 'The gateway''s code when it was last parked, where it gave one.';
COMMENT ON COLUMN gateway_invoice.parked_reason IS 'Why it was last parked.';
COMMENT ON COLUMN gateway_invoice.close_failures IS 'How often a worker failed to close it.';
COMMENT ON COLUMN gateway_invoice.close_code IS 'The gateway''s code at the last of them, where it gave one.';
COMMENT ON COLUMN gateway_invoice.close_error IS 'Why the last of them failed.';
COMMENT ON COLUMN gateway_invoice.close_parked_at IS 'Since when workers do not try to close it any more until a person asks for it.';

ALTER TABLE installation ADD COLUMN compatible_since text COLLATE "C" CHECK (char_length(compatible_since) <= 200);
COMMENT ON COLUMN installation.compatible_since IS 'The last migration that took something away: versions that do not know it are refused. Null when none did since this column was added.';
