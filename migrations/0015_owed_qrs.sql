-- Renewing QRs before they expire: which expire next, and which invoices are owed a QR because theirs was closed for it.

CREATE INDEX gateway_invoice_expiring ON gateway_invoice (gateway, expires_at, id) WHERE state = 'open';

CREATE TABLE owed_qr (
    invoice_id  text COLLATE "C" NOT NULL REFERENCES invoice,
    gateway     text COLLATE "C" NOT NULL,
    owed_since  timestamptz NOT NULL,
    failures    integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL,
    last_error  text CHECK (char_length(last_error) <= 500),
    PRIMARY KEY (invoice_id, gateway)
);
CREATE INDEX owed_qr_to_try ON owed_qr (next_try_at);
COMMENT ON TABLE owed_qr IS 'Invoices that are to get their next QR at a gateway, because the one before is being, or was, closed to be renewed. A row goes when a QR opens there, or when none is to be made any more.';
COMMENT ON COLUMN owed_qr.invoice_id IS 'The invoice.';
COMMENT ON COLUMN owed_qr.gateway IS 'Where it had its QR, and is to have the next.';
COMMENT ON COLUMN owed_qr.owed_since IS 'When the QR before went to closing. PostgreSQL''s clock.';
COMMENT ON COLUMN owed_qr.failures IS 'How often closing it or making the next failed.';
COMMENT ON COLUMN owed_qr.next_try_at IS 'Not before: when it is tried again. PostgreSQL''s clock.';
COMMENT ON COLUMN owed_qr.last_error IS 'Why it failed the last time.';

GRANT SELECT, INSERT, UPDATE, DELETE ON owed_qr TO tootsoo_app;

COMMENT ON COLUMN gateway_invoice.state IS 'issuing -> open | failed; open -> settled | closing; closing -> superseded | cancelled | settled | expired, or open again where the gateway keeps it.';
