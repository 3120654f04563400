-- name: begin
INSERT INTO magnet_read.partitions (schema, topic, partition)
SELECT %(schema)s, %(topic)s, v.n FROM unnest(%(partitions)s::integer[]) AS v (n) ON CONFLICT DO NOTHING

-- name: places
SELECT partition, next_offset FROM magnet_read.partitions
WHERE schema = %(schema)s AND topic = %(topic)s AND partition = ANY (%(partitions)s::integer[])

-- name: hold  -- whoever else has this partition waits here, and then sees what was taken
SELECT next_offset, position FROM magnet_read.partitions
WHERE schema = %(schema)s AND topic = %(topic)s AND partition = %(partition)s FOR UPDATE

-- name: one_writer  -- for read models whose rows depend on several things
SELECT pg_advisory_xact_lock(7333, hashtext(%(schema)s))

-- name: advance
UPDATE magnet_read.partitions SET next_offset = %(next_offset)s, position = %(position)s,
    updated_at = clock_timestamp()
WHERE schema = %(schema)s AND topic = %(topic)s AND partition = %(partition)s
