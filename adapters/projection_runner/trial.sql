-- name: positions  -- of the live one and of the one on trial, as one moment has them
SELECT (SELECT t.position FROM magnet_read.tracking t WHERE t.projection = %(projection)s),
    (SELECT t.position FROM magnet_read.tracking t WHERE t.projection = %(trial)s)

-- name: begin  -- whatever another dry run has there
INSERT INTO magnet_read.tracking (projection, fence) VALUES (%(trial)s, %(fence)s)
ON CONFLICT (projection) DO UPDATE SET position = 0, fence = excluded.fence

-- name: end
DELETE FROM magnet_read.tracking WHERE projection = %(trial)s

-- name: parked
SELECT count(*) FROM magnet_read.quarantine WHERE projection = %(trial)s

-- name: tables  -- of either schema, with the columns of their primary keys
SELECT c.relname, array_agg(DISTINCT n.nspname::text), (SELECT array_agg(a.attname::text ORDER BY k.place)
    FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (number, place)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
    WHERE i.indisprimary AND i.indrelid = min(c.oid))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname IN (%(projection)s, %(trial)s)
GROUP BY c.relname ORDER BY c.relname

-- name: count
SELECT count(*) FROM {table}

-- name: compared  -- by the primary key
SELECT count(*) FILTER (WHERE l IS NULL), count(*) FILTER (WHERE t IS NULL),
    count(*) FILTER (WHERE l IS NOT NULL AND t IS NOT NULL)
FROM {live} AS l FULL JOIN {trial} AS t USING ({key}) WHERE to_jsonb(l) IS DISTINCT FROM to_jsonb(t)

-- name: examples
SELECT to_jsonb(l), to_jsonb(t) FROM {live} AS l FULL JOIN {trial} AS t USING ({key})
WHERE to_jsonb(l) IS DISTINCT FROM to_jsonb(t) ORDER BY {key} LIMIT {most}

-- name: compared_whole  -- rows without a key are the same or not
SELECT (SELECT count(*) FROM (SELECT to_jsonb(t) FROM {trial} AS t EXCEPT ALL SELECT to_jsonb(l) FROM {live} AS l) AS a),
    (SELECT count(*) FROM (SELECT to_jsonb(l) FROM {live} AS l EXCEPT ALL SELECT to_jsonb(t) FROM {trial} AS t) AS r), 0
