-- name: take  -- what is new of a batch, once for each consumer however often it comes
WITH new AS (
    INSERT INTO magnet.inbox (consumer, event_id)
    SELECT %(consumer)s, v.id FROM unnest(%(ids)s::uuid[]) AS v (id) ON CONFLICT DO NOTHING RETURNING event_id
)
SELECT event_id FROM new

-- name: count
INSERT INTO magnet.consumed AS c (consumer, type, events, last_position)
SELECT %(consumer)s, v.type, v.events, v.position
FROM unnest(%(types)s::text[], %(events)s::bigint[], %(positions)s::bigint[]) AS v (type, events, position)
ON CONFLICT (consumer, type) DO UPDATE SET events = c.events + excluded.events,
    last_position = greatest(c.last_position, excluded.last_position)

-- name: set_aside
INSERT INTO magnet.foreign_messages (consumer, topic, partition, message_offset, reason, message_key, message_value)
VALUES (%(consumer)s, %(topic)s, %(partition)s, %(offset)s, %(reason)s, %(key)s, %(value)s) ON CONFLICT DO NOTHING

-- name: consumed
SELECT type, events, last_position FROM magnet.consumed WHERE consumer = %(consumer)s ORDER BY type
