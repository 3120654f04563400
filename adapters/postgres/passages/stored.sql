-- name: spaces  -- with all passages of each, which store holds it, and whether the index of PostgreSQL's own is there
SELECT s.name, s.dimensions,
    (SELECT coalesce(sum(sh.passages), 0)::bigint FROM {schema}.shelves sh WHERE sh.space = s.name),
    EXISTS (SELECT FROM {schema}.held h WHERE h.space = s.name AND h.store = %(store)s),
    to_regclass(format('%%I.%%I', %(schema)s::text, 'nearest_' || s.name)) IS NOT NULL
FROM {schema}.spaces s ORDER BY s.name

-- name: next_places  -- as many as have about so many vectors
SELECT n.place FROM (
    SELECT d.place, pl.passages, sum(pl.passages) OVER (ORDER BY d.place) AS until
    FROM (SELECT DISTINCT v.place FROM {table} v WHERE v.place > %(after)s ORDER BY v.place LIMIT %(most)s) AS d
    JOIN {schema}.places pl ON pl.id = d.place) AS n
WHERE n.until - n.passages < %(most)s ORDER BY n.place

-- name: note  -- before anything of them is in the store
INSERT INTO magnet.stored_places (store, space, place, dimensions, cut, passages)
SELECT %(store)s, %(space)s, pl.id, %(dimensions)s, substring(pl.chunking for 4), pl.passages
FROM {schema}.places pl WHERE pl.id = ANY (%(places)s) ON CONFLICT (store, place) DO NOTHING

-- name: unsent  -- vectors that the store may not have
SELECT v.place, p.ordinal, st.cut, v.embedding::real[]
FROM {table} v
JOIN {schema}.passages p ON p.id = v.id
JOIN magnet.stored_places st ON st.store = %(store)s AND st.place = v.place AND p.ordinal <> ALL (st.ordinals)
WHERE v.place = ANY (%(places)s) ORDER BY v.place, p.ordinal LIMIT %(most)s

-- name: arrived
UPDATE magnet.stored_places st SET ordinals = st.ordinals || a.ordinals
FROM (SELECT u.place, array_agg(u.ordinal) AS ordinals FROM unnest(%(places)s, %(ordinals)s) AS u (place, ordinal)
    GROUP BY u.place) AS a
WHERE st.store = %(store)s AND st.place = a.place

-- name: move  -- what the store has surely got
WITH moved AS (
    DELETE FROM {fresh} f USING {schema}.passages p, magnet.stored_places st
    WHERE f.place = ANY (%(places)s) AND p.id = f.id
        AND st.store = %(store)s AND st.place = f.place AND p.ordinal = ANY (st.ordinals)
    RETURNING f.place, f.shelf, f.id, f.embedding)
INSERT INTO {main} (place, shelf, id, embedding) SELECT place, shelf, id, embedding FROM moved

-- name: any  -- whether there is a vector in it
SELECT EXISTS (SELECT FROM {table})

-- name: lookup  -- the state of the index by which a search looks up what the store names
SELECT x.indisvalid FROM pg_index x WHERE x.indexrelid
    = to_regclass(format('%%I.%%I', %(schema)s::text, %(index)s::text))

-- name: drop_lookup
DROP INDEX CONCURRENTLY IF EXISTS {schema}.{index}

-- name: build_lookup
CREATE INDEX CONCURRENTLY {index} ON {main} (id)

-- name: hold  -- from now on the store is asked what is near in this space
INSERT INTO {schema}.held (space, store) VALUES (%(space)s, %(store)s)
ON CONFLICT (space) DO UPDATE SET store = excluded.store

-- name: gone  -- places that stand nowhere any more: each had a position of its own, so none comes back
SELECT st.space, st.dimensions, st.place, st.cut, st.passages FROM magnet.stored_places st
WHERE st.store = %(store)s
    AND st.place <= (SELECT t.position FROM magnet_read.tracking t WHERE t.projection = %(schema)s)
    AND NOT EXISTS (SELECT FROM {schema}.places pl WHERE pl.id = st.place)
ORDER BY st.space, st.place LIMIT %(most)s

-- name: forget
DELETE FROM magnet.stored_places WHERE store = %(store)s AND place = ANY (%(places)s)

-- name: former  -- what is noted of this store's former fillings
SELECT st.space, st.dimensions, st.place, st.cut, st.passages FROM magnet.stored_places st
WHERE starts_with(st.store, %(identity)s || '#') AND st.store <> %(store)s ORDER BY st.space, st.place

-- name: forget_former
DELETE FROM magnet.stored_places st
WHERE starts_with(st.store, %(identity)s || '#') AND st.store <> %(store)s AND st.space = %(space)s

-- name: add_store
INSERT INTO magnet.vector_stores (store) VALUES (%(identity)s) ON CONFLICT DO NOTHING

-- name: store
SELECT s.store || '#' || s.filling FROM magnet.vector_stores s WHERE s.store = %(identity)s

-- name: position
SELECT t.position FROM magnet_read.tracking t WHERE t.projection = %(schema)s
