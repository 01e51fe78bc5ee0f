-- What gateways and people told, by time: a line of a statement may be the settlement of one of these. A statement's own
-- payments may be as many, and lie everywhere in time.

CREATE INDEX payment_event_told ON payment_event (occurred_at) WHERE kind = 'received' AND gateway <> 'bank';
