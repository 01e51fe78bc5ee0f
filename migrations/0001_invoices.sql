-- Invoices, the changes of what they ask for, and their balances.
-- Runs as the role tootsoo_owner, in the schema tootsoo; the processes run as tootsoo_app.

GRANT USAGE ON SCHEMA tootsoo TO tootsoo_app;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege', HINT = 'A correction is another row.';
END
$$;
COMMENT ON FUNCTION refuse_change IS 'Trigger of append-only tables: nothing is updated, deleted or truncated.';

CREATE TABLE invoice (
    id            text COLLATE "C" PRIMARY KEY
                  CHECK (id ~ '^[A-Za-z0-9][A-Za-z0-9-]{0,39}$' AND id !~ '-g[0-9]+$'),
    description   text NOT NULL CHECK (char_length(description) <= 255),
    receiver_code text NOT NULL CHECK (char_length(receiver_code) <= 45),
    due_at        timestamptz,
    created_at    timestamptz NOT NULL
);
COMMENT ON TABLE invoice IS 'What the merchant asks a customer to pay; money is in invoice_change and invoice_balance.';
COMMENT ON COLUMN invoice.id IS 'The merchant''s own id.';
COMMENT ON COLUMN invoice.description IS 'Shown to the payer by the gateway.';
COMMENT ON COLUMN invoice.receiver_code IS 'Who is to pay, as the merchant knows them; "terminal" is anybody.';
COMMENT ON COLUMN invoice.due_at IS 'When it should be paid by, if a date was given.';
COMMENT ON COLUMN invoice.created_at IS 'When it was first put.';

CREATE TABLE invoice_change (
    position     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    invoice_id   text COLLATE "C" NOT NULL REFERENCES invoice,
    kind         text NOT NULL CHECK (kind IN ('amount', 'void')),
    amount_minor bigint CHECK (amount_minor > 0),
    currency     text CHECK (currency ~ '^[A-Z]{3}$'),
    reason       text CHECK (char_length(reason) <= 1000),
    who          text CHECK (char_length(who) <= 100),
    changed_at   timestamptz NOT NULL,
    CHECK ((kind = 'amount') = (amount_minor IS NOT NULL)),
    CHECK ((kind = 'amount') = (currency IS NOT NULL))
);
CREATE INDEX invoice_change_of_invoice ON invoice_change (invoice_id, position);
COMMENT ON TABLE invoice_change IS 'Append-only: what changes the money an invoice asks for. Balances follow from these and payment_event.';
COMMENT ON COLUMN invoice_change.position IS 'Orders the changes of an invoice.';
COMMENT ON COLUMN invoice_change.invoice_id IS 'The invoice that changes.';
COMMENT ON COLUMN invoice_change.kind IS 'amount: a new amount is due; void: nothing is due any more.';
COMMENT ON COLUMN invoice_change.amount_minor IS 'The new amount in minor units (MNT: möngö); for kind amount alone.';
COMMENT ON COLUMN invoice_change.currency IS 'ISO 4217 code of the amount.';
COMMENT ON COLUMN invoice_change.reason IS 'Why, in the words of whoever changed it.';
COMMENT ON COLUMN invoice_change.who IS 'The API key or person that changed it.';
COMMENT ON COLUMN invoice_change.changed_at IS 'When.';

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON invoice_change
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE invoice_change ENABLE ALWAYS TRIGGER append_only;

CREATE TABLE invoice_balance (
    invoice_id        text COLLATE "C" PRIMARY KEY REFERENCES invoice,
    currency          text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    due_minor         bigint NOT NULL CHECK (due_minor >= 0),
    received_minor    bigint NOT NULL DEFAULT 0,
    refunded_minor    bigint NOT NULL DEFAULT 0,
    voided_at         timestamptz,
    payments          integer NOT NULL DEFAULT 0,
    first_paid_at     timestamptz,
    last_paid_at      timestamptz,
    net_minor         bigint NOT NULL GENERATED ALWAYS AS (received_minor - refunded_minor) STORED,
    outstanding_minor bigint NOT NULL GENERATED ALWAYS AS (
        CASE WHEN voided_at IS NULL THEN greatest(0, due_minor - received_minor) ELSE 0 END
    ) STORED,
    overpaid_minor    bigint NOT NULL GENERATED ALWAYS AS (
        greatest(0, received_minor - refunded_minor - CASE WHEN voided_at IS NULL THEN due_minor ELSE 0 END)
    ) STORED,
    status            text NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN voided_at IS NOT NULL THEN 'void'
            WHEN refunded_minor > 0 AND received_minor = refunded_minor THEN 'refunded'
            WHEN received_minor - refunded_minor > due_minor THEN 'overpaid'
            WHEN received_minor - refunded_minor >= due_minor THEN 'paid'
            WHEN refunded_minor > 0 THEN 'partially_refunded'
            WHEN received_minor - refunded_minor > 0 THEN 'partially_paid'
            ELSE 'unpaid'
        END
    ) STORED
);
COMMENT ON TABLE invoice_balance IS 'Projection of invoice_change and payment_event, one row an invoice; can be rebuilt at any time.';
COMMENT ON COLUMN invoice_balance.invoice_id IS 'The invoice.';
COMMENT ON COLUMN invoice_balance.currency IS 'ISO 4217 code of every amount in the row.';
COMMENT ON COLUMN invoice_balance.due_minor IS 'What the invoice asks for, in minor units (MNT: möngö).';
COMMENT ON COLUMN invoice_balance.received_minor IS 'Received, with what was assigned to the invoice, less what was moved away.';
COMMENT ON COLUMN invoice_balance.refunded_minor IS 'Given back.';
COMMENT ON COLUMN invoice_balance.voided_at IS 'Since when nothing is due any more.';
COMMENT ON COLUMN invoice_balance.payments IS 'How often money came: payments received, and payments or parts of them assigned.';
COMMENT ON COLUMN invoice_balance.first_paid_at IS 'When the first payment was made.';
COMMENT ON COLUMN invoice_balance.last_paid_at IS 'When the last payment was made.';
COMMENT ON COLUMN invoice_balance.net_minor IS 'received - refunded: what the merchant holds.';
COMMENT ON COLUMN invoice_balance.outstanding_minor IS 'Still to be paid; a refund does not reopen a debt.';
COMMENT ON COLUMN invoice_balance.overpaid_minor IS 'Held beyond what is due; all of it when void.';
COMMENT ON COLUMN invoice_balance.status IS 'void, refunded, overpaid, paid, partially_refunded, partially_paid or unpaid: the first that holds.';

GRANT SELECT, INSERT ON invoice, invoice_change, invoice_balance TO tootsoo_app;
GRANT UPDATE (description, receiver_code, due_at) ON invoice TO tootsoo_app;
GRANT UPDATE ON invoice_balance TO tootsoo_app;
