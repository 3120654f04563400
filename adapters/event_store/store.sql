-- name: load  -- a stream: its newest snapshot up to a version (state null: none), then its events
SELECT topic, state, originator_version, NULL::bigint AS position FROM (
    SELECT topic, state, originator_version FROM magnet.magnet_snapshots
    WHERE originator_id = %(id)s AND originator_version <= %(upto)s
    ORDER BY originator_version DESC LIMIT 1
) AS snapshot
UNION ALL
SELECT topic, state, originator_version, notification_id FROM magnet.magnet_events
WHERE originator_id = %(id)s AND originator_version <= %(upto)s
    AND originator_version >= coalesce((
        SELECT max(originator_version) FROM magnet.magnet_snapshots
        WHERE originator_id = %(id)s AND originator_version <= %(upto)s), 0)
ORDER BY originator_version, position NULLS FIRST

-- name: load_many  -- the same for many streams at once, the id of each first
SELECT s.id, e.topic, e.state, e.originator_version, e.position
FROM unnest(%(ids)s) AS s (id)
CROSS JOIN LATERAL (
    SELECT max(n.originator_version) AS version FROM magnet.magnet_snapshots n WHERE n.originator_id = s.id
) AS taken
CROSS JOIN LATERAL (
    SELECT n.topic, n.state, n.originator_version, NULL::bigint AS position FROM magnet.magnet_snapshots n
    WHERE n.originator_id = s.id AND n.originator_version = taken.version
    UNION ALL
    SELECT v.topic, v.state, v.originator_version, v.notification_id FROM magnet.magnet_events v
    WHERE v.originator_id = s.id AND v.originator_version >= coalesce(taken.version, 0)
) AS e
ORDER BY s.id, e.originator_version, e.position NULLS FIRST

-- name: answer
SELECT body_hash, answer, position FROM magnet.idempotency
WHERE scope = %(scope)s AND recorded_at > now() - interval '7 days'

-- name: last_change
SELECT originator_version, actor_name, recorded_at FROM magnet.magnet_events
WHERE originator_id = %(id)s ORDER BY originator_version DESC LIMIT 1

-- name: version_at  -- the version a stream had at a time; null before it began
SELECT max(originator_version) FROM magnet.magnet_events
WHERE originator_id = %(id)s AND recorded_at <= %(time)s

-- name: users_of
SELECT DISTINCT owner_kind, owner_id FROM magnet.usages WHERE target_id = %(id)s
ORDER BY owner_kind, owner_id

-- name: secret
SELECT sealed FROM magnet.secrets WHERE owner_id = %(id)s AND field = %(field)s

-- name: position_of  -- the place in the log of one event of a stream
SELECT notification_id FROM magnet.magnet_events WHERE originator_id = %(id)s AND originator_version = %(version)s
