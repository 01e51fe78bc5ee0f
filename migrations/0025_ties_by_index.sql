-- Since when a gateway's list is looked through, so that no sweep reads all QRs for it; and ties that are found by index.

CREATE TABLE listed_since (
    gateway  text COLLATE "C" PRIMARY KEY,
    first_at timestamptz NOT NULL
);
COMMENT ON TABLE listed_since IS 'When the first QR of a gateway was meant: no payment of ours can be older. Written by the first sweep.';
COMMENT ON COLUMN listed_since.gateway IS 'Whose list.';
COMMENT ON COLUMN listed_since.first_at IS 'When its first QR was meant.';
GRANT SELECT, INSERT ON listed_since TO tootsoo_app;

-- Many QRs may have the same text. Whoever plans by that would read the table from its beginning for each payment.
CREATE FUNCTION find_ties(of_gateway text, external_ids text[], qr_texts text[])
RETURNS TABLE (n bigint, gateway_invoice_id uuid, invoice_id text, tied_by text)
LANGUAGE plpgsql STABLE
SET plan_cache_mode TO force_generic_plan SET enable_seqscan TO off SET enable_hashjoin TO off SET enable_mergejoin TO off
AS $$
BEGIN
    RETURN QUERY
    SELECT clue.n, g.id, g.invoice_id::text, 'external_id'
    FROM unnest(external_ids) WITH ORDINALITY AS clue (external_id, n)
    JOIN gateway_invoice AS g ON g.gateway = of_gateway AND g.external_id = clue.external_id
    UNION ALL
    SELECT clue.n, only_one.id, only_one.invoice_id, 'qr_text'
    FROM unnest(qr_texts) WITH ORDINALITY AS clue (qr_text, n)
    CROSS JOIN LATERAL (
        SELECT (array_agg(two.id))[1] AS id, min(two.invoice_id)::text AS invoice_id
        FROM (
            SELECT g.id, g.invoice_id
            FROM gateway_invoice AS g
            WHERE g.gateway = of_gateway
                AND hashtextextended(g.qr_text, 0) = hashtextextended(clue.qr_text, 0)
                AND g.qr_text = clue.qr_text
            LIMIT 2
        ) AS two
        HAVING count(*) = 1
    ) AS only_one;
END
$$;
COMMENT ON FUNCTION find_ties IS 'The QRs of a gateway that clues lead to, by the number of the clue: by the gateway''s id of the gateway invoice, and by the text of the QR where that is one QR''s alone.';
