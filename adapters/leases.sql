-- name: renew  -- a process shows that it still carries these out
UPDATE magnet.leases SET until = clock_timestamp() + %(seconds)s::float8 * interval '1 second'
WHERE owner = %(owner)s AND id = ANY (%(going)s::uuid[])

-- name: expired  -- what nobody carries out any more
SELECT id, kind, stream FROM magnet.leases WHERE until < clock_timestamp() ORDER BY until LIMIT 100

-- name: claim  -- what waits for a process that carries it out
UPDATE magnet.leases SET owner = %(owner)s, until = clock_timestamp() + %(seconds)s::float8 * interval '1 second'
WHERE id = %(id)s AND owner = %(nobody)s RETURNING id

-- name: drop  -- of something that has ended by itself meanwhile
DELETE FROM magnet.leases WHERE id = %(id)s AND until < clock_timestamp()
