-- What could not be understood in one answer is no question any more once a later answer is.

CREATE OR REPLACE FUNCTION clear_suspicions(cleared jsonb) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE discrepancy AS d SET
        state = CASE d.state WHEN 'suspected' THEN 'withdrawn' ELSE d.state END,
        fingerprint = CASE d.state WHEN 'resolved' THEN d.fingerprint || ' answered ' || d.id ELSE d.fingerprint END
    FROM jsonb_to_recordset(cleared) AS k (gateway text, payment_id text, as_recorded boolean)
    WHERE coalesce(k.as_recorded, true)
        AND d.gateway = k.gateway AND d.payment_id = k.payment_id
        AND d.kind IN ('changed_status', 'missing_at_gateway')
        AND d.state IN ('suspected', 'resolved') AND d.fingerprint NOT LIKE '% answered %';

    UPDATE discrepancy AS d SET state = 'withdrawn'
    FROM jsonb_to_recordset(cleared) AS k (gateway text, payment_id text, understood boolean)
    WHERE k.understood
        AND d.gateway = k.gateway AND d.payment_id = k.payment_id
        AND d.kind IN ('unknown_status', 'unreadable_row') AND d.state IN ('suspected', 'open');
END
$$;
COMMENT ON FUNCTION clear_suspicions IS 'Forgets what was suspected of payments that the gateway shows as they were recorded; what was answered about them may be asked again when it happens again. Takes back what was asked, or suspected, of payments that could not be understood and now are.';
