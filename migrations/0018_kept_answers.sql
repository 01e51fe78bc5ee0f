-- What was answered to a request with a key of the caller's, so that the same again is answered the same.

CREATE TABLE kept_answer (
    key         text COLLATE "C" PRIMARY KEY REFERENCES idempotency_key,
    body        text NOT NULL,
    answered_at timestamptz NOT NULL
);
CREATE INDEX kept_answer_by_age ON kept_answer (answered_at);
COMMENT ON TABLE kept_answer IS 'Answers to requests whose effect is not told by an event alone: pay-links and voids. Forgotten after some days; the key stands for its content for ever.';
COMMENT ON COLUMN kept_answer.key IS 'The caller''s own.';
COMMENT ON COLUMN kept_answer.body IS 'The JSON that was answered, with 200.';
COMMENT ON COLUMN kept_answer.answered_at IS 'When it was answered first.';

GRANT SELECT, INSERT, DELETE ON kept_answer TO tootsoo_app;
