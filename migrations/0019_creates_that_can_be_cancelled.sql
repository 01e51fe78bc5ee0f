-- A gateway that goes by our number can cancel what was created without an answer; such creates are looked for.

CREATE INDEX gateway_invoice_issuing ON gateway_invoice (issue_deadline) WHERE state = 'issuing';

COMMENT ON COLUMN gateway_invoice.gateway IS 'The gateway''s name: qpay, socialpay.';
COMMENT ON COLUMN gateway_invoice.number IS 'Our number at the gateway: the invoice id, then id-g2, id-g3, …; the id of this row as 32 hex digits where the gateway goes by it.';
COMMENT ON COLUMN gateway_invoice.external_id IS 'The gateway''s own id, null until it has answered; our number, from the start, where the gateway goes by it.';
COMMENT ON COLUMN gateway_invoice.qr_text IS 'What the QR says; empty where a create was given up and is cancelled by its number: nobody has seen it.';
COMMENT ON COLUMN gateway_invoice.state IS 'issuing -> open | failed | closing; open -> settled | closing | expired; closing -> superseded | cancelled | settled | expired | failed.';
