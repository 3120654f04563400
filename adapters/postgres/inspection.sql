-- name: server
SELECT current_setting('server_version'), current_setting('fsync') = 'on',
    current_setting('full_page_writes') = 'on', current_setting('synchronous_commit') IN ('on', 'remote_apply'),
    EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector'),
    extract(epoch FROM clock_timestamp())::double precision

-- name: is_installed
SELECT to_regclass('magnet.magnet_events') IS NOT NULL

-- name: log_rights  -- what the present role could do to the log besides reading
SELECT array(
    SELECT privilege FROM unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS privilege
    WHERE has_table_privilege('magnet.magnet_events', privilege))

-- name: guards  -- triggers that refuse changes and are switched on
SELECT count(*) FROM pg_trigger
WHERE tgrelid = 'magnet.magnet_events'::regclass AND tgenabled IN ('O', 'A')
    AND tgname IN ('events_never_change', 'events_never_truncated')

-- name: fingerprint
SELECT key_fingerprint FROM magnet.installation

-- name: head
SELECT coalesce(max(notification_id), 0) FROM magnet.magnet_events

-- name: projections
SELECT t.projection, t.position, t.rebuild_requested,
    (SELECT count(*) FROM magnet_read.quarantine q WHERE q.projection = t.projection)
FROM magnet_read.tracking t ORDER BY t.projection
