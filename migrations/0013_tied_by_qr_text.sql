-- By which a payment in a gateway's list finds its QR when the list does not name the gateway invoice.
-- A hash, as a QR's text may be longer than a row of any other index.
CREATE INDEX gateway_invoice_of_qr_text ON gateway_invoice USING hash (qr_text);
