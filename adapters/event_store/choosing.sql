-- name: read  -- the entries that were chosen, up to the one with which their states have `heaviest` bytes:
-- what is read at once is bounded in memory, not in events alone
WITH bounds AS MATERIALIZED (
    SELECT greatest(%(after)s::bigint, magnet.position_before(%(since)s::timestamptz)) AS low,
        coalesce(magnet.position_before(%(until)s::timestamptz), 9223372036854775807) AS high
),
chosen AS MATERIALIZED ({chosen})
SELECT position, stream, version, recorded_at, topic, state,
    actor_type, actor_id, actor_name, correlation_id, causation_id, reason, hash
FROM (
    SELECT e.notification_id AS position, e.originator_id AS stream, e.originator_version AS version,
        e.recorded_at, e.topic, e.state, e.actor_type, e.actor_id, e.actor_name, e.correlation_id,
        e.causation_id, e.reason, e.hash,
        sum(octet_length(e.state)) OVER (ORDER BY e.notification_id) - octet_length(e.state) AS before
    FROM chosen c JOIN magnet.magnet_events e ON e.notification_id = c.position
) AS weighed
WHERE before < %(heaviest)s
ORDER BY position

-- name: count  -- how many events each filter leads to by itself, up to the limit
WITH bounds AS MATERIALIZED (
    SELECT greatest(%(after)s::bigint, magnet.position_before(%(since)s::timestamptz)) AS low,
        coalesce(magnet.position_before(%(until)s::timestamptz), 9223372036854775807) AS high
)
SELECT {counts}

-- name: held_in_reason  -- what may hold a part of a reason, by its trigrams
SELECT e.notification_id AS position FROM magnet.magnet_events e
WHERE e.reason IS NOT NULL AND magnet.trigrams(e.reason) @> magnet.trigrams(%(reason)s)
    AND e.notification_id + 0 > (SELECT low FROM bounds) AND e.notification_id + 0 <= (SELECT high FROM bounds)
    AND {others}
LIMIT %(limit)s

-- name: within  -- the part of the log that is asked for
e.notification_id > (SELECT low FROM bounds) AND e.notification_id <= (SELECT high FROM bounds)

-- name: fits_aggregate
e.originator_id = %(aggregate)s::uuid

-- name: fits_types
e.topic = ANY (%(types)s::text[])

-- name: fits_kind
starts_with(e.topic, %(kind)s || '.')

-- name: fits_actor
(e.actor_name = %(actor)s OR e.actor_id = %(actor)s)

-- name: fits_correlation
e.correlation_id COLLATE "C" = %(correlation)s

-- name: fits_reason
strpos(lower(e.reason), lower(%(reason)s)) > 0

-- name: by_position  -- nothing else leads to them; positions have no gaps, and a planner that knows nothing of the log
-- yet would sort all that follows
SELECT e.notification_id AS position FROM magnet.magnet_events e
WHERE {fitting} AND e.notification_id <= (SELECT low FROM bounds) + %(limit)s
ORDER BY e.notification_id LIMIT %(limit)s

-- name: by_aggregate  -- in a stream the order of versions is that of positions; `+ 0` keeps the index on positions
-- out: PostgreSQL would go through all of it, from `low` to `high`, and then keep what is in the stream
SELECT e.notification_id AS position FROM magnet.magnet_events e
WHERE {others}
    AND e.notification_id + 0 > (SELECT low FROM bounds) AND e.notification_id + 0 <= (SELECT high FROM bounds)
ORDER BY e.originator_version LIMIT %(limit)s

-- Below, rows are compared (`(topic, position) > (topic asked for, low)`) and not their first fields only: so
-- PostgreSQL can do nothing but go along the one index, wherever in the log the events lie that are asked for.

-- name: by_correlation
SELECT e.notification_id AS position FROM magnet.magnet_events e
WHERE (e.correlation_id COLLATE "C", e.notification_id) > (%(correlation)s, (SELECT low FROM bounds))
    AND (e.correlation_id COLLATE "C", e.notification_id) <= (%(correlation)s, (SELECT high FROM bounds))
    AND e.correlation_id IS NOT NULL AND {others}
ORDER BY e.correlation_id COLLATE "C", e.notification_id LIMIT %(limit)s

-- name: by_types  -- the first of each type, then the first of those
SELECT hit.position FROM (SELECT DISTINCT t FROM unnest(%(types)s::text[]) AS t) AS asked (topic)
CROSS JOIN LATERAL (
    SELECT e.notification_id AS position FROM magnet.magnet_events e
    WHERE (e.topic COLLATE "C", e.notification_id) > (asked.topic, (SELECT low FROM bounds))
        AND (e.topic COLLATE "C", e.notification_id) <= (asked.topic, (SELECT high FROM bounds))
        AND {others}
    ORDER BY e.topic COLLATE "C", e.notification_id LIMIT %(limit)s
) AS hit ORDER BY hit.position LIMIT %(limit)s

-- name: by_kind  -- the types of the kind that are in the log, leaping from one to the next; then as by type
WITH RECURSIVE leap AS (
    SELECT min(e.topic COLLATE "C") AS topic FROM magnet.magnet_events e WHERE e.topic COLLATE "C" >= %(kind)s || '.'
    UNION ALL
    SELECT (SELECT min(e.topic COLLATE "C") FROM magnet.magnet_events e WHERE e.topic COLLATE "C" > leap.topic)
    FROM leap WHERE starts_with(leap.topic, %(kind)s || '.')
)
SELECT hit.position FROM leap AS asked
CROSS JOIN LATERAL (
    SELECT e.notification_id AS position FROM magnet.magnet_events e
    WHERE (e.topic COLLATE "C", e.notification_id) > (asked.topic, (SELECT low FROM bounds))
        AND (e.topic COLLATE "C", e.notification_id) <= (asked.topic, (SELECT high FROM bounds))
        AND {others}
    ORDER BY e.topic COLLATE "C", e.notification_id LIMIT %(limit)s
) AS hit
WHERE starts_with(asked.topic, %(kind)s || '.')
ORDER BY hit.position LIMIT %(limit)s

-- name: by_actor  -- by name, and by an id that is another than the name
SELECT position FROM (
    (SELECT e.notification_id AS position FROM magnet.magnet_events e
    WHERE (e.actor_name COLLATE "C", e.notification_id) > (%(actor)s, (SELECT low FROM bounds))
        AND (e.actor_name COLLATE "C", e.notification_id) <= (%(actor)s, (SELECT high FROM bounds))
        AND {others}
    ORDER BY e.actor_name COLLATE "C", e.notification_id LIMIT %(limit)s)
    UNION
    (SELECT e.notification_id FROM magnet.magnet_events e
    WHERE (e.actor_id COLLATE "C", e.notification_id) > (%(actor)s, (SELECT low FROM bounds))
        AND (e.actor_id COLLATE "C", e.notification_id) <= (%(actor)s, (SELECT high FROM bounds))
        AND e.actor_id <> e.actor_name AND {others}
    ORDER BY e.actor_id COLLATE "C", e.notification_id LIMIT %(limit)s)
) AS hit ORDER BY position LIMIT %(limit)s

-- name: by_reason  -- what many reasons hold is soon met by reading on; what few hold, by the index on trigrams
(WITH near AS MATERIALIZED (
    SELECT e.notification_id AS position FROM magnet.magnet_events e
    WHERE e.notification_id <= (SELECT low FROM bounds) + %(near)s AND {fitting}
    ORDER BY e.notification_id LIMIT %(limit)s
), far AS MATERIALIZED (
    SELECT e.notification_id AS position FROM magnet.magnet_events e
    WHERE (SELECT count(*) FROM near) < %(limit)s
        AND e.reason IS NOT NULL AND magnet.trigrams(e.reason) @> magnet.trigrams(%(reason)s)
        AND e.notification_id + 0 > (SELECT low FROM bounds) + %(near)s
        AND e.notification_id + 0 <= (SELECT high FROM bounds)
        AND {others}
)
SELECT position FROM near UNION ALL SELECT position FROM far ORDER BY position LIMIT %(limit)s)
