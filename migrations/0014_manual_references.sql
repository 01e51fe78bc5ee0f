-- By what a payment that is entered by hand a second time is noticed: its reference.

CREATE INDEX payment_event_manual_reference ON payment_event (lower(raw ->> 'reference'), position)
    WHERE source = 'manual';
