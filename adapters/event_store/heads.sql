-- name: heads  -- the newest version of each of these streams and the topic of its first event, null where there is none; a
-- join would be planned for as many rows as there were when a connection prepared it, by reading the whole log where those were few
SELECT s.id, (
    SELECT e.originator_version FROM magnet.magnet_events e
    WHERE e.originator_id = s.id ORDER BY e.originator_version DESC LIMIT 1), (
    SELECT b.topic FROM magnet.magnet_events b WHERE b.originator_id = s.id AND b.originator_version = 1)
FROM unnest(%(ids)s::uuid[]) AS s (id)
