-- Statements of banks: the files that were read, their lines, and what became of each line.

CREATE TABLE statement_import (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file_name   text NOT NULL CHECK (char_length(file_name) <= 255),
    file_digest bytea NOT NULL CHECK (octet_length(file_digest) = 32),
    bank        text COLLATE "C" NOT NULL,
    format      text COLLATE "C" NOT NULL,
    who         text NOT NULL CHECK (char_length(who) <= 100),
    began_at    timestamptz NOT NULL,
    finished_at timestamptz,
    outcome     jsonb
);
COMMENT ON TABLE statement_import IS 'Each file that was read. One that never finished was killed; its lines are finished by the next import.';
COMMENT ON COLUMN statement_import.id IS 'The order in which they began.';
COMMENT ON COLUMN statement_import.file_name IS 'Its name, without folders.';
COMMENT ON COLUMN statement_import.file_digest IS 'SHA-256 of the file.';
COMMENT ON COLUMN statement_import.bank IS 'Whose statement it is.';
COMMENT ON COLUMN statement_import.format IS 'How it was read.';
COMMENT ON COLUMN statement_import.who IS 'Who said so.';
COMMENT ON COLUMN statement_import.began_at IS 'When.';
COMMENT ON COLUMN statement_import.finished_at IS 'When its last line was worked off.';
COMMENT ON COLUMN statement_import.outcome IS 'What it came to, in numbers.';

CREATE TABLE statement_line (
    id                   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key                  text COLLATE "C" NOT NULL UNIQUE,
    import_id            bigint NOT NULL REFERENCES statement_import,
    number               integer NOT NULL CHECK (number >= 1),
    format               text COLLATE "C" NOT NULL,
    bank                 text COLLATE "C" NOT NULL,
    account              text COLLATE "C" NOT NULL,
    posted_on            date NOT NULL,
    posted_at            timestamptz NOT NULL,
    timed                boolean NOT NULL,
    direction            text COLLATE "C" NOT NULL CHECK (direction IN ('credit', 'debit')),
    amount_minor         bigint NOT NULL CHECK (amount_minor > 0),
    currency             text COLLATE "C" NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    balance_minor        bigint,
    occurrence           integer NOT NULL CHECK (occurrence >= 1),
    description          text NOT NULL,
    counterparty_account text COLLATE "C",
    counterparty_name    text,
    reference            text COLLATE "C",
    correction           boolean NOT NULL,
    raw                  jsonb NOT NULL,
    UNIQUE NULLS NOT DISTINCT (
        account, posted_on, direction, amount_minor, currency, balance_minor, occurrence
    )
);
CREATE INDEX statement_line_of_reference ON statement_line (account, format, reference) WHERE reference IS NOT NULL;
CREATE INDEX statement_line_of_payer ON statement_line (counterparty_account)
    WHERE counterparty_account IS NOT NULL AND direction = 'credit';
COMMENT ON TABLE statement_line IS 'Append-only: each line of a bank''s statement, once, in however many files and formats it came.';
COMMENT ON COLUMN statement_line.id IS 'By which people name it.';
COMMENT ON COLUMN statement_line.key IS 'What makes it the same line in every format; the payment''s id where it is one.';
COMMENT ON COLUMN statement_line.import_id IS 'The file that brought it first.';
COMMENT ON COLUMN statement_line.number IS 'Where it stood there.';
COMMENT ON COLUMN statement_line.format IS 'How it was read: of two lines of one format times and references can be compared.';
COMMENT ON COLUMN statement_line.bank IS 'Whose statement it is.';
COMMENT ON COLUMN statement_line.account IS 'The merchant''s own, without blanks and leading zeros.';
COMMENT ON COLUMN statement_line.posted_on IS 'The day by the bank''s clock, Asia/Ulaanbaatar.';
COMMENT ON COLUMN statement_line.posted_at IS 'The moment; the day''s beginning where the bank told no time.';
COMMENT ON COLUMN statement_line.timed IS 'Whether the bank told the time of day.';
COMMENT ON COLUMN statement_line.direction IS 'credit: it came in; debit: it went out.';
COMMENT ON COLUMN statement_line.amount_minor IS 'In minor units (MNT: möngö).';
COMMENT ON COLUMN statement_line.currency IS 'ISO 4217 code of amount and balance.';
COMMENT ON COLUMN statement_line.balance_minor IS 'Of the account after it; null where the format does not tell.';
COMMENT ON COLUMN statement_line.occurrence IS '1 for the first of lines that are equal in all that makes the key.';
COMMENT ON COLUMN statement_line.description IS 'What the payer wrote, as the bank shows it.';
COMMENT ON COLUMN statement_line.counterparty_account IS 'Whence it came or where it went, where the bank tells.';
COMMENT ON COLUMN statement_line.counterparty_name IS 'Whose account that is, where the bank tells.';
COMMENT ON COLUMN statement_line.reference IS 'The bank''s own; no part of the key.';
COMMENT ON COLUMN statement_line.correction IS 'The bank calls it a correction or a reversal.';
COMMENT ON COLUMN statement_line.raw IS 'The line as it came.';

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON statement_line
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE statement_line ENABLE ALWAYS TRIGGER append_only;

CREATE TABLE statement_outcome (
    line_id    bigint PRIMARY KEY REFERENCES statement_line,
    state      text COLLATE "C" NOT NULL CHECK (state IN (
            'new', 'recorded', 'linked', 'proposed', 'unmatched', 'ignored', 'outgoing')),
    why        text COLLATE "C",
    invoice_id text COLLATE "C" REFERENCES invoice,
    gateway    text COLLATE "C",
    payment_id text COLLATE "C",
    candidates text[] NOT NULL DEFAULT '{}',
    who        text CHECK (char_length(who) <= 100),
    reason     text CHECK (char_length(reason) <= 1000),
    decided_at timestamptz,
    history    jsonb NOT NULL DEFAULT '[]',
    CHECK ((state = 'new') = (decided_at IS NULL)),
    CHECK ((gateway IS NULL) = (payment_id IS NULL)),
    CHECK (state <> 'linked' OR payment_id IS NOT NULL)
);
CREATE UNIQUE INDEX one_line_settles_a_payment ON statement_outcome (gateway, payment_id) WHERE state = 'linked';
CREATE INDEX statement_outcome_open ON statement_outcome (state, line_id)
    WHERE state IN ('new', 'proposed', 'unmatched');
COMMENT ON TABLE statement_outcome IS 'What became of each line of a statement.';
COMMENT ON COLUMN statement_outcome.line_id IS 'The line.';
COMMENT ON COLUMN statement_outcome.state IS 'new (not looked at), recorded (has an event), linked (settles a payment that is recorded), proposed (a person says), unmatched, ignored (by a person), outgoing.';
COMMENT ON COLUMN statement_outcome.why IS 'Why, such as same_money_by_two_routes; see the glossary.';
COMMENT ON COLUMN statement_outcome.invoice_id IS 'The invoice that it was recorded on; of a proposed one, that it may be for.';
COMMENT ON COLUMN statement_outcome.gateway IS 'With payment_id: the payment that it settles; of a proposed one, may settle.';
COMMENT ON COLUMN statement_outcome.payment_id IS 'See gateway.';
COMMENT ON COLUMN statement_outcome.candidates IS 'Of a proposed one: the invoices and payments that it may be about.';
COMMENT ON COLUMN statement_outcome.who IS 'The person, where one decided.';
COMMENT ON COLUMN statement_outcome.reason IS 'Why, in the words of that person.';
COMMENT ON COLUMN statement_outcome.decided_at IS 'When it came to its state.';
COMMENT ON COLUMN statement_outcome.history IS 'What people decided before: [{state, who, reason, decided_at}].';

GRANT SELECT, INSERT ON statement_import, statement_line, statement_outcome TO tootsoo_app;
GRANT UPDATE (finished_at, outcome) ON statement_import TO tootsoo_app;
GRANT UPDATE (state, why, invoice_id, gateway, payment_id, candidates, who, reason, decided_at, history)
    ON statement_outcome TO tootsoo_app;

-- By what lines find invoices and payments.
CREATE INDEX invoice_folded ON invoice (upper(replace(id, '-', '')));
CREATE INDEX invoice_of_receiver ON invoice (upper(receiver_code)) WHERE receiver_code <> 'terminal';

-- As before, with what statements brought to each invoice: a gateway may tell of the same money later.
CREATE OR REPLACE FUNCTION recorded(
    invoice_ids text[], gateways text[], payment_ids text[], gateway_invoice_ids uuid[],
    OUT balances json, OUT events json
)
LANGUAGE plpgsql STABLE
SET plan_cache_mode TO force_generic_plan SET enable_seqscan TO off SET enable_hashjoin TO off SET enable_mergejoin TO off
AS $$
BEGIN
    SELECT coalesce(json_agg(json_build_object(
        'invoice_id', b.invoice_id, 'currency', b.currency, 'due_minor', b.due_minor,
        'received_minor', b.received_minor, 'refunded_minor', b.refunded_minor, 'payments', b.payments,
        'voided', b.voided_at IS NOT NULL,
        'routes', CASE WHEN b.payments > 0 THEN (
            SELECT json_agg(DISTINCT jsonb_build_array(e.gateway, e.gateway_invoice_id))
            FROM payment_event AS e
            WHERE e.invoice_id = b.invoice_id
                AND (e.kind = 'received' OR e.kind = 'assigned' AND e.gateway_invoice_id IS NOT NULL)
        ) END,
        'by_bank', CASE WHEN b.payments > 0 THEN (
            SELECT json_agg(json_build_array(e.payment_id, e.amount_minor, e.occurred_at) ORDER BY e.position)
            FROM payment_event AS e
            WHERE e.invoice_id = b.invoice_id AND e.gateway = 'bank' AND e.kind = 'received'
        ) END
    )), '[]')
    INTO balances
    FROM unnest(invoice_ids) AS wanted (invoice_id)
    JOIN invoice_balance AS b USING (invoice_id);

    SELECT coalesce(json_agg(json_build_array(
        e.gateway, e.payment_id, e.kind, e.ref, e.invoice_id, e.gateway_invoice_id, e.amount_minor, e.currency,
        e.occurred_at, e.occurred_at_source,
        CASE WHEN e.source = 'command' THEN e.raw ->> 'reason' END
    ) ORDER BY e.position), '[]')
    INTO events
    FROM (
        SELECT gateway COLLATE "C" AS gateway, payment_id COLLATE "C" AS payment_id
        FROM unnest(gateways, payment_ids) AS k (gateway, payment_id)
        UNION
        SELECT r.gateway, r.payment_id
        FROM unnest(invoice_ids) AS wanted (invoice_id)
        JOIN payment_event AS r ON r.invoice_id = wanted.invoice_id
        WHERE r.gateway_invoice_id = ANY (gateway_invoice_ids)
        UNION
        SELECT r.gateway, r.payment_id
        FROM unnest(gateway_invoice_ids) AS qr (id)
        JOIN payment_event AS r ON r.gateway_invoice_id = qr.id
        WHERE r.invoice_id IS NULL
    ) AS k
    JOIN payment_event AS e USING (gateway, payment_id);
END
$$;
