-- name: records  -- the bytes that an event's hash is made of; see 0001_log.sql for the formula
SELECT e.notification_id, e.hash, record_send(ROW(e.notification_id,
    (extract(epoch FROM e.recorded_at) * 1000000)::bigint, e.originator_id, e.originator_version, e.topic, e.command_id,
    e.actor_type, e.actor_id, e.actor_name, e.credential, e.correlation_id, e.causation_id, e.idempotency_key,
    e.trace_id, e.reason, e.state))
FROM magnet.magnet_events e
WHERE e.notification_id > %(after)s
    AND e.notification_id <= coalesce(magnet.position_before(%(until)s::timestamptz), 9223372036854775807)
    AND (%(kind)s::text IS NULL OR starts_with(e.topic, %(kind)s::text || '.'))
    AND (%(aggregate)s::uuid IS NULL OR e.originator_id = %(aggregate)s::uuid)
ORDER BY e.notification_id
