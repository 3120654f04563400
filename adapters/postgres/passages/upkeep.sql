-- name: spaces  -- with all passages that live in each, and whether its index is there and whole
SELECT s.name, s.dimensions,
    (SELECT coalesce(sum(sh.passages), 0)::bigint FROM {schema}.shelves sh WHERE sh.space = s.name) AS passages,
    (SELECT x.indisvalid FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid
        WHERE c.relnamespace = %(schema)s::text::regnamespace AND c.relname = 'nearest_' || s.name) AS indexed
FROM {schema}.spaces s ORDER BY s.name

-- name: counted  -- how many passages there are, and of how many the statistics know
SELECT (SELECT coalesce(sum(s.passages), 0)::bigint FROM {schema}.shelves s), greatest(c.reltuples, 0)::bigint
FROM pg_class c WHERE c.oid = format('%%I.passages', %(schema)s::text)::regclass

-- name: index_words  -- those that were added since, and which every search reads one by one
SELECT gin_clean_pending_list(x.indexrelid) FROM pg_index x
JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_am a ON a.oid = c.relam AND a.amname = 'gin'
WHERE x.indrelid = format('%%I.passages', %(schema)s::text)::regclass

-- name: count_words
ANALYZE {schema}.passages (words)

-- name: let_go
DELETE FROM {schema}.held

-- name: waiting  -- how many vectors have not been moved yet, and the bytes that are scanned to find them
SELECT count(*), pg_relation_size(format('%%I.%%I', %(schema)s::text, %(table)s::text)::regclass) FROM {fresh}

-- name: move  -- what is just being deleted is left out, so that no one is waited for
WITH chosen AS MATERIALIZED (SELECT f.ctid AS at FROM {fresh} f LIMIT %(rows)s FOR UPDATE SKIP LOCKED),
moved AS (DELETE FROM {fresh} f WHERE f.ctid = ANY (ARRAY(SELECT at FROM chosen))
    RETURNING f.place, f.shelf, f.id, f.embedding)
INSERT INTO {main} (place, shelf, id, embedding) SELECT place, shelf, id, embedding FROM moved

-- name: prepare  -- a graph that fits the memory is built several times as fast; no more processes than the server allows
SELECT set_config('maintenance_work_mem', %(memory)s, false),
    set_config('max_parallel_maintenance_workers', least(%(helpers)s, s.reset_val::integer)::text, false)
FROM pg_settings s WHERE s.name = 'max_parallel_maintenance_workers'

-- name: unprepare
RESET maintenance_work_mem; RESET max_parallel_maintenance_workers

-- name: build  -- beside what reads and writes the table
CREATE INDEX CONCURRENTLY {index} ON {main} USING hnsw (embedding {vectors}.halfvec_cosine_ops)
WITH (m = 16, ef_construction = 64)

-- name: drop  -- one whose building was interrupted, or that is built anew
DROP INDEX CONCURRENTLY IF EXISTS {schema}.{index}

-- name: analyze
ANALYZE {main}

-- name: vacuum  -- what was moved leaves dead rows, which every search would look at; few that are left alone would keep the table long
VACUUM (ANALYZE, INDEX_CLEANUP ON) {fresh}

-- name: newer  -- how many passages an index has beside the one that answers, and the state of its vectors
SELECT (SELECT t.position >= %(position)s FROM magnet_read.tracking t WHERE t.projection = %(schema)s),
    answers.passages, newer.passages, newer.space, sp.dimensions, (SELECT x.indisvalid FROM pg_index x
    WHERE x.indexrelid = to_regclass(%(schema)s::text || '.nearest_' || newer.space))
FROM {schema}.sources s
JOIN {schema}.shelves answers ON answers.source = s.id AND answers.index = s.answering
LEFT JOIN {schema}.shelves newer ON newer.source = s.id AND newer.index = %(index)s
LEFT JOIN {schema}.spaces sp ON sp.name = newer.space
WHERE s.id = %(source)s

-- name: fresh  -- whether few vectors wait
SELECT count(*) <= %(most)s FROM (SELECT FROM {fresh} LIMIT %(most)s + 1) AS f
