-- name: stores  -- of a type, in their present filling
SELECT s.store || '#' || s.filling FROM magnet.vector_stores s WHERE starts_with(s.store, %(kind)s || ':') ORDER BY s.store

-- name: is_there  -- not in a database that was just restored: the read model is built first
SELECT to_regclass('passages_v1.held') IS NOT NULL

-- name: spaces  -- with the store that is asked what is near there
SELECT s.name, h.store FROM passages_v1.spaces s LEFT JOIN passages_v1.held h ON h.space = s.name ORDER BY s.name

-- name: waiting
SELECT count(*) FROM {fresh}

-- name: stored  -- vectors that a store has of a space, and places of it that stand nowhere any more
SELECT coalesce(sum(cardinality(st.ordinals)), 0)::bigint,
    count(*) FILTER (WHERE NOT EXISTS (SELECT FROM passages_v1.places pl WHERE pl.id = st.place))
FROM magnet.stored_places st WHERE st.store = %(store)s AND st.space = %(space)s

-- name: others  -- what is noted of other stores and of former fillings, which nobody removes there now
SELECT st.store, count(*) FROM magnet.stored_places st WHERE st.store <> ALL (%(stores)s) GROUP BY st.store ORDER BY st.store

-- name: fill_anew
UPDATE magnet.vector_stores SET filling = filling + 1 WHERE starts_with(store, %(kind)s || ':')
