-- As before, and for who is erased:
--   erase {mac}: destroys the data key of a subject, or sees to it that there never will be one
ALTER FUNCTION magnet.apply_effects(jsonb) RENAME TO apply_work_effects;

CREATE FUNCTION magnet.apply_effects(effects jsonb, OUT outcome text, OUT detail jsonb)
LANGUAGE plpgsql AS $$
DECLARE
    others jsonb;
BEGIN
    IF NOT effects @> '[{"op": "erase"}]' THEN
        SELECT w.outcome, w.detail INTO outcome, detail FROM magnet.apply_work_effects(effects) AS w;
        RETURN;
    END IF;
    SELECT jsonb_agg(e) INTO others FROM jsonb_array_elements(effects) AS e WHERE e ->> 'op' <> 'erase';
    IF others IS NOT NULL THEN
        SELECT w.outcome, w.detail INTO outcome, detail FROM magnet.apply_work_effects(others) AS w;
        IF outcome IS NOT NULL THEN
            RETURN;
        END IF;
    END IF;
    WITH destroyed AS (
        INSERT INTO magnet.data_keys AS k (subject_mac, key_id, wrapped_key, destroyed_at)
        SELECT decode(e ->> 'mac', 'base64'), gen_random_uuid(), NULL, clock_timestamp()
        FROM jsonb_array_elements(effects) AS e WHERE e ->> 'op' = 'erase'
        ON CONFLICT (subject_mac) DO UPDATE
            SET wrapped_key = NULL, destroyed_at = coalesce(k.destroyed_at, excluded.destroyed_at)
        RETURNING k.key_id)
    SELECT NULL, NULL INTO outcome, detail
    FROM (SELECT count(pg_notify('magnet_data_keys', d.key_id::text)) FROM destroyed AS d) AS told;
END $$;
REVOKE ALL ON FUNCTION magnet.apply_effects(jsonb) FROM PUBLIC;
