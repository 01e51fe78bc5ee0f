-- A gateway's own list of a day beside what is recorded of it: what each comparison came to.

CREATE TABLE reconciliation_run (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway     text COLLATE "C" NOT NULL,
    day         date NOT NULL,
    night       date,
    began_at    timestamptz NOT NULL,
    ended_at    timestamptz NOT NULL,
    list_calls  integer NOT NULL CHECK (list_calls >= 0),
    listed_rows integer NOT NULL CHECK (listed_rows >= 0),
    verdicts    jsonb NOT NULL,
    figures     jsonb NOT NULL,
    open        integer NOT NULL CHECK (open >= 0),
    state       text COLLATE "C" NOT NULL
);
CREATE INDEX reconciliation_run_of_day ON reconciliation_run (gateway, day, id);
CREATE INDEX reconciliation_run_of_night ON reconciliation_run (gateway, night) WHERE night IS NOT NULL;
COMMENT ON TABLE reconciliation_run IS 'What came of comparing a gateway''s list of a day with what is recorded of it; one row a comparison.';
COMMENT ON COLUMN reconciliation_run.id IS 'In the order of being written.';
COMMENT ON COLUMN reconciliation_run.gateway IS 'Whose list.';
COMMENT ON COLUMN reconciliation_run.day IS 'The day in TIMEZONE.';
COMMENT ON COLUMN reconciliation_run.night IS 'The night whose look back made it; null where a person did.';
COMMENT ON COLUMN reconciliation_run.began_at IS 'Before the list was read.';
COMMENT ON COLUMN reconciliation_run.ended_at IS 'When all was compared.';
COMMENT ON COLUMN reconciliation_run.list_calls IS 'Pages of the list that were read.';
COMMENT ON COLUMN reconciliation_run.listed_rows IS 'Rows that the gateway answered with, those of neighbouring days and repeated ones included.';
COMMENT ON COLUMN reconciliation_run.verdicts IS 'How many payments of each verdict: {"matched": 12, "only_there": 1, …}.';
COMMENT ON COLUMN reconciliation_run.figures IS 'By currency, there and here: {"MNT": {"there": {"count", "gross_minor", "refunded_minor", "fee_minor", "fees_unknown"}, "here": {…}}}.';
COMMENT ON COLUMN reconciliation_run.open IS 'Payments that neither agree nor were answered by a person; 0 is a clean day.';
COMMENT ON COLUMN reconciliation_run.state IS 'Names what the gateway shows of the day and what is open of it: another state has another name.';

GRANT SELECT, INSERT, DELETE ON reconciliation_run TO tootsoo_app;

CREATE TABLE payment_day (
    gateway    text COLLATE "C" NOT NULL,
    payment_id text COLLATE "C" NOT NULL,
    paid_at    timestamptz NOT NULL,
    PRIMARY KEY (gateway, payment_id)
);
CREATE INDEX payment_day_paid_at ON payment_day (gateway, paid_at);
COMMENT ON TABLE payment_day IS 'Payments that were paid on another day than the one they were seen on, such as just before midnight: what the gateway''s list tells of them.';
COMMENT ON COLUMN payment_day.gateway IS 'Who knows the payment.';
COMMENT ON COLUMN payment_day.payment_id IS 'The gateway''s id of it.';
COMMENT ON COLUMN payment_day.paid_at IS 'When it was paid, by the gateway''s list.';

GRANT SELECT, INSERT, UPDATE ON payment_day TO tootsoo_app;

-- Events of a day are found by it in any ledger, and an append pays next to nothing for it: positions and times grow together.
CREATE INDEX payment_event_occurred ON payment_event USING brin (occurred_at timestamptz_minmax_multi_ops)
    WITH (autosummarize = on, pages_per_range = 32);
