-- name: note  -- and forget what is old
WITH old AS (
    DELETE FROM magnet.uploads WHERE made_at < clock_timestamp() - interval '30 days'
)
INSERT INTO magnet.uploads (id, source, documents, giver_type, giver)
VALUES (%(id)s, %(source)s, %(documents)s, %(giver_type)s, %(giver)s)

-- name: upload
SELECT source, documents, made_at, giver_type, giver FROM magnet.uploads WHERE id = %(id)s

-- name: progress  -- how many of an upload's documents wait; of the others, of which the newest word is that they failed
SELECT count(*) FILTER (WHERE j.key IS NOT NULL),
    coalesce(array_agg(d.id ORDER BY d.id) FILTER (WHERE j.key IS NULL AND e.topic = 'document.failed'), '{}'),
    count(*) FILTER (WHERE j.key IS NULL AND e.topic = 'document.removed'),
    max(j.last_error)
FROM magnet.uploads u
CROSS JOIN LATERAL unnest(u.documents) AS d (id)
LEFT JOIN magnet.jobs j ON j.kind = %(kind)s AND j.key = d.id::text
LEFT JOIN LATERAL (
    SELECT v.topic FROM magnet.magnet_events v
    WHERE v.originator_id = d.id AND v.topic NOT IN ('document.details_changed', 'document.passage_edited', 'document.passage_restored',
        'document.passage_disabled', 'document.passage_enabled', 'document.edits_failed')
    ORDER BY v.originator_version DESC LIMIT 1
) AS e ON true
WHERE u.id = %(id)s
