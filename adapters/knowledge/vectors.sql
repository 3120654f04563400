-- name: lacking  -- each is looked up in the index: a join would be planned by the statistics of a table that has just grown
SELECT c.chunking, c.ordinal, c.text_sha256, coalesce(c.searched, c.text) FROM magnet.chunks c
WHERE c.searched IS DISTINCT FROM '' AND c.chunking = ANY (%(chunkings)s) AND (c.chunking, c.ordinal) > (%(after)s, %(ordinal)s)
    AND (SELECT e.space FROM magnet.embeddings e WHERE e.space = %(space)s AND e.text_sha256 = c.text_sha256) IS NULL
ORDER BY c.chunking, c.ordinal LIMIT %(limit)s

-- name: begin_space
INSERT INTO magnet.spaces (name, dimensions) VALUES (%(space)s, %(dimensions)s) ON CONFLICT (name) DO NOTHING

-- name: dimensions
SELECT dimensions FROM magnet.spaces WHERE name = %(space)s

-- name: halfvec  -- the numbers of the types halfvec and halfvec[] in this database
SELECT t.oid::bigint, t.typarray::bigint FROM pg_type t JOIN pg_extension e ON e.extname = 'vector' AND t.typnamespace = e.extnamespace
WHERE t.typname = 'halfvec'

-- name: keep
INSERT INTO magnet.embeddings (space, text_sha256, embedding)
SELECT %(space)s, v.sha256, v.embedding FROM unnest(%(hashes)s, %(vectors)s) AS v (sha256, embedding)
ON CONFLICT (space, text_sha256) DO NOTHING
