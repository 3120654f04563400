-- name: stretches  -- of many stretches of streams: the newest snapshot before each, and the events from there to its end
SELECT s.place, s.id, e.topic, e.state, e.originator_version
FROM unnest(%(ids)s, %(firsts)s, %(lasts)s) WITH ORDINALITY AS s (id, first, last, place)
CROSS JOIN LATERAL (
    SELECT max(n.originator_version) AS version FROM magnet.magnet_snapshots n
    WHERE n.originator_id = s.id AND n.originator_version < s.first
) AS taken
CROSS JOIN LATERAL (
    SELECT n.topic, n.state, n.originator_version, 0 AS own FROM magnet.magnet_snapshots n
    WHERE n.originator_id = s.id AND n.originator_version = taken.version
    UNION ALL
    SELECT v.topic, v.state, v.originator_version, 1 FROM magnet.magnet_events v
    WHERE v.originator_id = s.id AND v.originator_version > coalesce(taken.version, 0)
        AND v.originator_version <= s.last
) AS e
ORDER BY s.place, e.originator_version, e.own
