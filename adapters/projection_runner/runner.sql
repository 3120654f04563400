-- name: register
INSERT INTO magnet_read.tracking (projection) VALUES (%(projection)s) ON CONFLICT DO NOTHING

-- name: try_own  -- held by the session, so it goes when the process dies
SELECT pg_try_advisory_lock(7331, hashtext(%(projection)s))

-- name: let_go
SELECT pg_advisory_unlock(7331, hashtext(%(projection)s))

-- name: schema_lock  -- schemas are made by one process at a time
SELECT pg_advisory_xact_lock(7332, hashtext(%(projection)s))

-- name: schema_exists
SELECT 1 FROM pg_namespace WHERE nspname = %(schema)s

-- name: take_over
UPDATE magnet_read.tracking SET fence = fence + 1, updated_at = clock_timestamp()
WHERE projection = %(projection)s RETURNING position, fence

-- name: into_schema
SELECT set_config('search_path', %(schema)s, true), set_config('synchronous_commit', 'off', true)

-- name: advance  -- and tell it; no row: another owner has taken over
UPDATE magnet_read.tracking SET position = %(position)s, updated_at = clock_timestamp()
WHERE projection = %(projection)s AND fence = %(fence)s AND position = %(expected)s
RETURNING pg_notify('magnet_read', projection || ':' || position)

-- name: pass_over  -- the same as a transaction of its own, for events that change no row
WITH soon AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
UPDATE magnet_read.tracking SET position = %(position)s, updated_at = clock_timestamp() FROM soon
WHERE projection = %(projection)s AND fence = %(fence)s AND position = %(expected)s
RETURNING pg_notify('magnet_read', projection || ':' || position)

-- name: begin_batch  -- the first statement of its transaction, in which the rows are written then
WITH settings AS MATERIALIZED (
    SELECT set_config('search_path', %(projection)s, true), set_config('synchronous_commit', 'off', true)
)
UPDATE magnet_read.tracking SET position = %(position)s, updated_at = clock_timestamp() FROM settings
WHERE projection = %(projection)s AND fence = %(fence)s AND position = %(expected)s
RETURNING pg_notify('magnet_read', projection || ':' || position)

-- name: status
SELECT t.projection, t.position, t.rebuild_requested, t.updated_at,
    (SELECT count(*) FROM magnet_read.quarantine q WHERE q.projection = t.projection),
    (SELECT n.position FROM magnet_read.tracking n WHERE n.projection = t.projection || '__next'),
    EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.classid = 7331
        AND l.objid = (hashtext(t.projection)::bigint & 4294967295)::oid AND l.granted
        AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
FROM magnet_read.tracking t WHERE t.projection NOT LIKE '%%\_\_next' ORDER BY t.projection

-- name: position
SELECT position FROM magnet_read.tracking WHERE projection = %(projection)s

-- name: asked  -- whether it is to be built anew, and which streams are set aside: one row at least
SELECT t.rebuild_requested, q.stream, q.first_position, q.requeue_requested
FROM magnet_read.tracking t LEFT JOIN magnet_read.quarantine q USING (projection)
WHERE t.projection = %(projection)s

-- name: park
INSERT INTO magnet_read.quarantine (projection, stream, first_position, error)
VALUES (%(projection)s, %(stream)s, %(position)s, %(error)s)
ON CONFLICT (projection, stream) DO UPDATE SET error = excluded.error,
    attempts = magnet_read.quarantine.attempts + 1, requeue_requested = false

-- name: unpark
DELETE FROM magnet_read.quarantine WHERE projection = %(projection)s AND stream = %(stream)s

-- name: dead_letters
SELECT id, projection, stream, first_position, error, attempts, parked_at, requeue_requested
FROM magnet_read.quarantine
WHERE %(since)s::timestamptz IS NULL OR (parked_at, id) > (%(since)s::timestamptz, %(last)s::uuid)
ORDER BY parked_at, id LIMIT %(limit)s

-- name: request_requeue
UPDATE magnet_read.quarantine SET requeue_requested = true WHERE id = %(id)s RETURNING first_position

-- name: request_rebuild
UPDATE magnet_read.tracking SET rebuild_requested = true WHERE projection = %(projection)s RETURNING position

-- name: begin_anew  -- no row: a later owner is at it
INSERT INTO magnet_read.tracking AS t (projection, fence) VALUES (%(projection)s, %(fence)s)
ON CONFLICT (projection) DO UPDATE SET position = 0, fence = excluded.fence WHERE t.fence <= excluded.fence

-- name: hold  -- as it is, until the transaction ends; no row: another owner has taken over
SELECT 1 FROM magnet_read.tracking
WHERE projection = %(projection)s AND fence = %(fence)s AND position = %(expected)s FOR UPDATE

-- name: end_rebuild
WITH gone AS (DELETE FROM magnet_read.tracking WHERE projection = %(next)s)
UPDATE magnet_read.tracking SET rebuild_requested = false WHERE projection = %(projection)s

-- name: clear_quarantine
DELETE FROM magnet_read.quarantine WHERE projection = %(projection)s

-- name: inherit_quarantine
UPDATE magnet_read.quarantine SET projection = %(projection)s WHERE projection = %(next)s

-- name: note_key  -- nothing where the key is known; of two at once the second waits for the first
INSERT INTO magnet.idempotency (scope, body_hash, answer, position, recorded_at)
VALUES (%(scope)s, %(body)s, '', %(position)s, clock_timestamp())
ON CONFLICT (scope) DO NOTHING RETURNING position

-- name: forget_key  -- one that is older than keys are kept
DELETE FROM magnet.idempotency
WHERE scope = %(scope)s AND recorded_at < clock_timestamp() - interval '7 days'

-- name: noted
SELECT body_hash, position FROM magnet.idempotency WHERE scope = %(scope)s

-- name: want  -- the owner is told that somebody waits, and gathers nothing meanwhile
SELECT pg_notify('magnet_read', 'wanted')

-- name: wake
SELECT pg_notify('magnet_read', 'wake')

-- name: create_schema
CREATE SCHEMA {schema}

-- name: drop_schema
DROP SCHEMA IF EXISTS {schema} CASCADE

-- name: rename_schema
ALTER SCHEMA {schema} RENAME TO {other}

-- name: expire_idempotency
DELETE FROM magnet.idempotency WHERE recorded_at < clock_timestamp() - interval '7 days'
