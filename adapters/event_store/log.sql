-- name: section  -- what projections need, in order of position
SELECT notification_id, originator_id, originator_version, topic, state, recorded_at
FROM magnet.magnet_events
WHERE notification_id > %(after)s AND notification_id <= %(upto)s
ORDER BY notification_id LIMIT %(limit)s

-- name: read  -- the log with every filter of the API; null = not asked for. It ends with the event with
-- which the states have `heaviest` bytes: what is read at once is bounded in memory, not in events alone.
SELECT position, stream, version, recorded_at, topic, state,
    actor_type, actor_id, actor_name, correlation_id, causation_id, reason, hash
FROM (
    SELECT notification_id AS position, originator_id AS stream, originator_version AS version, recorded_at,
        topic, state, actor_type, actor_id, actor_name, correlation_id, causation_id, reason, hash,
        sum(octet_length(state)) OVER (ORDER BY notification_id) - octet_length(state) AS before
    FROM (
        SELECT * FROM magnet.magnet_events
        WHERE notification_id > %(after)s
            AND (%(aggregate)s::uuid IS NULL OR originator_id = %(aggregate)s::uuid)
            AND (%(types)s::text[] IS NULL OR topic = ANY (%(types)s::text[]))
            AND (%(kind)s::text IS NULL OR starts_with(topic, %(kind)s::text || '.'))
            AND (%(actor)s::text IS NULL OR actor_id = %(actor)s::text OR actor_name = %(actor)s::text)
            AND (%(correlation)s::text IS NULL OR correlation_id = %(correlation)s::text)
            AND (%(reason)s::text IS NULL OR strpos(lower(reason), lower(%(reason)s::text)) > 0)
            AND (%(since)s::timestamptz IS NULL OR recorded_at >= %(since)s::timestamptz)
            AND (%(until)s::timestamptz IS NULL OR recorded_at < %(until)s::timestamptz)
        ORDER BY notification_id LIMIT %(limit)s
    ) AS fitting
) AS weighed
WHERE before < %(heaviest)s
ORDER BY position

-- name: stream  -- the entries of one stream, from the newest or the oldest on
SELECT notification_id, originator_id, originator_version, recorded_at, topic, state,
    actor_type, actor_id, actor_name, correlation_id, causation_id, reason, hash
FROM magnet.magnet_events
WHERE originator_id = %(stream)s AND originator_version > %(after)s AND originator_version < %(before)s
ORDER BY originator_version DESC LIMIT %(limit)s

-- name: beginnings  -- the first event of each stream, which holds its name
SELECT originator_id, topic, state FROM magnet.magnet_events
WHERE originator_id = ANY (%(streams)s) AND originator_version = 1

-- name: head
SELECT coalesce(max(notification_id), 0) FROM magnet.magnet_events
