-- name: heads  -- the newest version of each of these streams and the topic of its first event, of those that there are
SELECT s.id, (
    SELECT e.originator_version FROM magnet.magnet_events e
    WHERE e.originator_id = s.id ORDER BY e.originator_version DESC LIMIT 1),
    b.topic
FROM unnest(%(ids)s::uuid[]) AS s (id)
JOIN magnet.magnet_events b ON b.originator_id = s.id AND b.originator_version = 1
