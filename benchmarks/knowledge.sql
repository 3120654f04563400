-- name: copy_chunkings
COPY magnet.chunkings (id, content_sha256, parser, settings, chunks) FROM STDIN

-- name: copy_chunks
COPY magnet.chunks (chunking, ordinal, text, text_sha256, start_at, end_at) FROM STDIN

-- name: copy_vectors
COPY magnet.embeddings (space, text_sha256, embedding) FROM STDIN (FORMAT binary)

-- name: state  -- vectors that wait, vectors that are moved, the bytes that hold the first, and whether all is indexed
SELECT (SELECT count(*) FROM passages_v1.{fresh}), (SELECT count(*) FROM passages_v1.{main}),
    pg_relation_size(to_regclass({waiting})), (SELECT x.indisvalid FROM pg_index x WHERE x.indexrelid = to_regclass({index}))

-- name: nearest  -- what a search by vectors comes down to
SELECT p.id, p.text FROM (SELECT v.id, v.embedding <=> %(vector)s AS distance FROM passages_v1.{main} v
    ORDER BY v.embedding <=> %(vector)s LIMIT 10) AS n
JOIN passages_v1.passages p ON p.id = n.id ORDER BY n.distance

-- name: ranked  -- what a search by words comes down to
SELECT p.id, p.text FROM passages_v1.passages p WHERE p.words @@ %(words)s::tsquery
ORDER BY ts_rank(p.words, %(words)s::tsquery, 1) DESC LIMIT 10
