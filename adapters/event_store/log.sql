-- name: section  -- what projections need, in order of position
SELECT notification_id, originator_id, originator_version, topic, state, recorded_at
FROM magnet.magnet_events
WHERE notification_id > %(after)s AND notification_id <= %(upto)s
ORDER BY notification_id LIMIT %(limit)s

-- name: sifted  -- the same without what a projection does not take; the first two columns are the same in all rows
WITH bound AS (
    SELECT least(h.head, %(after)s::bigint + %(span)s) AS upto, h.head
    FROM (SELECT coalesce(max(notification_id), 0) AS head FROM magnet.magnet_events) AS h
)
SELECT b.upto, b.head, e.* FROM bound b LEFT JOIN LATERAL (
    SELECT notification_id, originator_id, originator_version, topic, state, recorded_at
    FROM magnet.magnet_events
    WHERE notification_id > %(after)s AND notification_id <= b.upto AND topic <> ALL (%(passed)s)
    ORDER BY notification_id LIMIT %(limit)s
) AS e ON true
ORDER BY e.notification_id

-- name: stream  -- the entries of one stream, from the newest on
SELECT notification_id, originator_id, originator_version, recorded_at, topic, state,
    actor_type, actor_id, actor_name, correlation_id, causation_id, reason, hash
FROM magnet.magnet_events
WHERE originator_id = %(stream)s AND originator_version > %(after)s AND originator_version < %(before)s
ORDER BY originator_version DESC LIMIT %(limit)s

-- name: stream_oldest_first
SELECT notification_id, originator_id, originator_version, recorded_at, topic, state,
    actor_type, actor_id, actor_name, correlation_id, causation_id, reason, hash
FROM magnet.magnet_events
WHERE originator_id = %(stream)s AND originator_version > %(after)s AND originator_version < %(before)s
ORDER BY originator_version LIMIT %(limit)s

-- name: identities  -- what the ids of events are made of, from the newest on
SELECT notification_id, originator_id, originator_version FROM magnet.magnet_events
WHERE notification_id < %(before)s ORDER BY notification_id DESC LIMIT %(limit)s

-- name: beginnings  -- the first event of each stream, which holds its name
SELECT originator_id, topic, state FROM magnet.magnet_events
WHERE originator_id = ANY (%(streams)s) AND originator_version = 1

-- name: newest  -- of each stream, its newest event of a topic
SELECT DISTINCT ON (originator_id) notification_id, originator_id, originator_version, recorded_at, topic, state,
    actor_type, actor_id, actor_name, correlation_id, causation_id, reason, hash
FROM magnet.magnet_events WHERE originator_id = ANY (%(streams)s) AND topic = %(topic)s
ORDER BY originator_id, originator_version DESC

-- name: head
SELECT coalesce(max(notification_id), 0) FROM magnet.magnet_events

-- name: hashes  -- of the events at positions, in hex
SELECT notification_id, encode(hash, 'hex') FROM magnet.magnet_events WHERE notification_id = ANY (%(positions)s::bigint[])
