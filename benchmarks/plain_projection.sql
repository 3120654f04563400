-- name: create
CREATE TABLE things (id uuid PRIMARY KEY, version bigint NOT NULL) WITH (fillfactor = 80)

-- name: put
INSERT INTO things (id, version) SELECT * FROM unnest(%(ids)s::uuid[], %(versions)s::bigint[])
ON CONFLICT (id) DO UPDATE SET version = excluded.version

-- name: checksum
SELECT coalesce(sum(hashtextextended(id::text || version, 0)), 0)::text FROM things
