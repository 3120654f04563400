-- name: try_lock  -- one process seals at a time
SELECT pg_try_advisory_xact_lock(5577006791947779412)

-- name: head
SELECT coalesce(max(notification_id), 0) FROM magnet.magnet_events

-- name: topic_at
SELECT topic FROM magnet.magnet_events WHERE notification_id = %(position)s

-- name: hashes  -- of the events after a position, as one value
SELECT coalesce(string_agg(e.hash, '' ORDER BY e.notification_id), '') FROM magnet.magnet_events e
WHERE e.notification_id > %(after)s AND e.notification_id <= %(upto)s

-- name: nodes
SELECT coalesce(string_agg(n.hash, '' ORDER BY n.index), '') FROM magnet.tree_nodes n
WHERE n.level = %(level)s AND n.index >= %(first)s AND n.index < %(end)s

-- name: ends  -- of several levels the nodes from one on, up to the first that is missing, as one value each
SELECT v.level, coalesce((
    SELECT string_agg(n.hash, '' ORDER BY n.index) FROM (
        SELECT t.index, t.hash, row_number() OVER (ORDER BY t.index) AS place FROM magnet.tree_nodes t
        WHERE t.level = v.level AND t.index >= v.first) AS n
    WHERE n.index = v.first + n.place - 1), '')
FROM unnest(%(levels)s::integer[], %(firsts)s::bigint[]) AS v (level, first)

-- name: add_nodes
INSERT INTO magnet.tree_nodes (level, index, hash)
SELECT %(level)s, %(first)s + v.n - 1, v.hash FROM unnest(%(hashes)s::bytea[]) WITH ORDINALITY AS v (hash, n)
ON CONFLICT DO NOTHING

-- name: add_checkpoint
INSERT INTO magnet.checkpoints (size, root, note) VALUES (%(size)s, %(root)s, %(note)s) ON CONFLICT DO NOTHING

-- name: last_checkpoint
SELECT size, root, note FROM magnet.checkpoints ORDER BY size DESC LIMIT 1

-- name: begun  -- whether a stream is there
SELECT EXISTS (SELECT FROM magnet.magnet_events WHERE originator_id = %(stream)s AND originator_version = 1)

-- name: checkpoint_at  -- the first that vouches for a position
SELECT size, root, note FROM magnet.checkpoints WHERE size >= %(size)s ORDER BY size LIMIT 1

-- name: checkpoints_before
SELECT size, root, note, made_at FROM magnet.checkpoints
WHERE size < %(before)s ORDER BY size DESC LIMIT %(limit)s

-- name: checkpoints_after
SELECT size, root, note, made_at FROM magnet.checkpoints
WHERE size > %(after)s ORDER BY size LIMIT %(limit)s

-- name: all_notes
SELECT note FROM magnet.checkpoints ORDER BY size

-- name: blocks  -- of 256 events each: how many there are, whether each has its hash, and the hashes
SELECT (e.notification_id - 1) / 256 AS block, count(*), bool_and(e.hash = sha256(record_send(ROW(
        e.notification_id, (extract(epoch FROM e.recorded_at) * 1000000)::bigint,
        e.originator_id, e.originator_version, e.topic, e.command_id, e.actor_type, e.actor_id, e.actor_name,
        e.credential, e.correlation_id, e.causation_id, e.idempotency_key, e.trace_id, e.reason, e.state)))),
    string_agg(e.hash, '' ORDER BY e.notification_id)
FROM magnet.magnet_events e GROUP BY 1 ORDER BY 1

-- name: record  -- the bytes that an event's hash is made of; see 0001_log.sql
SELECT record_send(ROW(e.notification_id, (extract(epoch FROM e.recorded_at) * 1000000)::bigint,
    e.originator_id, e.originator_version, e.topic, e.command_id, e.actor_type, e.actor_id, e.actor_name,
    e.credential, e.correlation_id, e.causation_id, e.idempotency_key, e.trace_id, e.reason, e.state))
FROM magnet.magnet_events e WHERE e.notification_id = %(position)s
