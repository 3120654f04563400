-- name: head
SELECT coalesce(max(notification_id), 0) FROM magnet.magnet_events

-- name: gap  -- the first position after %(after)s up to %(upto)s that no event has
SELECT coalesce(
    (SELECT %(after)s + 1 WHERE NOT EXISTS (
        SELECT FROM magnet.magnet_events WHERE notification_id = %(after)s + 1)),
    (SELECT min(notification_id) + 1 FROM (
        SELECT notification_id, lead(notification_id) OVER (ORDER BY notification_id) AS following
        FROM magnet.magnet_events WHERE notification_id > %(after)s AND notification_id <= %(upto)s
    ) AS places WHERE following <> notification_id + 1))

-- name: broken_stream  -- the first position at which a stream skips a version
SELECT min(notification_id) FROM (
    SELECT notification_id, originator_version,
        row_number() OVER (PARTITION BY originator_id ORDER BY originator_version) AS expected
    FROM magnet.magnet_events
) AS places WHERE originator_version <> expected

-- name: changed  -- the first position whose event does not have its hash; see 0001_log.sql for the formula
SELECT min(e.notification_id) FROM magnet.magnet_events e
WHERE e.notification_id > %(after)s AND e.notification_id <= %(upto)s
    AND e.hash <> sha256(record_send(ROW(e.notification_id, (extract(epoch FROM e.recorded_at) * 1000000)::bigint,
        e.originator_id, e.originator_version, e.topic, e.command_id, e.actor_type, e.actor_id, e.actor_name,
        e.credential, e.correlation_id, e.causation_id, e.idempotency_key, e.trace_id, e.reason, e.state)))

-- name: backwards  -- the first position whose time is before that of the one before it
SELECT min(notification_id) FROM (
    SELECT notification_id, recorded_at, lag(recorded_at) OVER (ORDER BY notification_id) AS former
    FROM magnet.magnet_events WHERE notification_id > %(after)s AND notification_id <= %(upto)s
) AS times WHERE recorded_at < former
