-- What the log can be asked by: indexes that lead to the events of one type, actor, request or reason in
-- the order of their positions, and the position that belongs to a time. They compare bytes (COLLATE "C"):
-- every append keeps them, and a language's order is several times as slow.

CREATE INDEX magnet_events_topic ON magnet.magnet_events (topic COLLATE "C", notification_id);
CREATE INDEX magnet_events_actor_name ON magnet.magnet_events (actor_name COLLATE "C", notification_id);
-- Where an actor has no other id than its name, the index on the name finds it.
CREATE INDEX magnet_events_actor_id ON magnet.magnet_events (actor_id COLLATE "C", notification_id)
    WHERE actor_id <> actor_name;
DROP INDEX magnet.magnet_events_correlation;
CREATE INDEX magnet_events_correlation ON magnet.magnet_events (correlation_id COLLATE "C", notification_id)
    WHERE correlation_id IS NOT NULL;

-- Every three neighbouring characters of a text, in lower case: a text that holds another holds its trigrams.
-- (The extension pg_trgm is not there everywhere, and splits texts into words.)
CREATE FUNCTION magnet.trigrams(given text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT substr(lower(given), place, 3)), '{}')
    FROM generate_series(1, length(lower(given)) - 2) AS place
$$;
CREATE INDEX magnet_events_reason ON magnet.magnet_events USING gin (magnet.trigrams(reason))
    WITH (gin_pending_list_limit = 256) WHERE reason IS NOT NULL;

-- The position of the last event recorded before a time; 0 where there is none. Times never go back from
-- one position to the next, so it is found by halving.
CREATE FUNCTION magnet.position_before(given timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE STRICT AS $$
DECLARE
    low bigint := 0;
    high bigint;
    middle bigint;
    found record;
BEGIN
    SELECT coalesce(max(e.notification_id), 0) INTO high FROM magnet.magnet_events e;
    WHILE low < high LOOP
        middle := low + (high - low + 1) / 2;
        SELECT e.notification_id AS position, e.recorded_at INTO found FROM magnet.magnet_events e
        WHERE e.notification_id >= middle ORDER BY e.notification_id LIMIT 1;
        IF found.recorded_at < given THEN
            low := found.position;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END $$;
