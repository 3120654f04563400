-- name: texts
SELECT p.content_sha256, p.parser, p.text, p.outline
FROM unnest(%(contents)s, %(parsers)s) AS v (content, parser)
JOIN magnet.parsings p ON p.content_sha256 = v.content AND p.parser = v.parser

-- name: keep_texts
INSERT INTO magnet.parsings (content_sha256, parser, text, outline, language)
SELECT v.content, v.parser, v.text, v.outline, v.language
FROM unnest(%(contents)s, %(parsers)s, %(texts)s, %(outlines)s, %(languages)s)
    AS v (content, parser, text, outline, language)
ON CONFLICT (content_sha256, parser) DO NOTHING

-- name: cuts
SELECT c.id, c.chunks FROM magnet.chunkings c WHERE c.id = ANY (%(ids)s)

-- name: kept
SELECT c.id, c.content_sha256, c.parser, c.settings, c.language FROM magnet.chunkings c WHERE c.id = ANY (%(ids)s)

-- name: chunks
SELECT c.chunking, c.text, c.start_at, c.end_at, c.page, c.heading, c.tokens, c.searched, c.parent, c.cut_sha256
FROM magnet.chunks c WHERE c.chunking = ANY (%(ids)s) ORDER BY c.chunking, c.ordinal

-- name: keep_chunks
INSERT INTO magnet.chunks (chunking, ordinal, text, text_sha256, start_at, end_at, page, heading, tokens, searched,
    parent, cut_sha256)
SELECT v.chunking, v.ordinal, v.text, v.sha256, v.start_at, v.end_at, nullif(v.page, 0), v.heading,
    nullif(v.tokens, -1), v.searched, nullif(v.parent, -1), v.cut_sha256
FROM unnest(%(chunkings)s, %(ordinals)s, %(texts)s, %(hashes)s, %(starts)s, %(ends)s, %(pages)s, %(headings)s,
    %(tokens)s, %(searched)s, %(parents)s, %(cut_hashes)s)
    AS v (chunking, ordinal, text, sha256, start_at, end_at, page, heading, tokens, searched, parent, cut_sha256)
ON CONFLICT (chunking, ordinal) DO NOTHING

-- name: keep_cuts
INSERT INTO magnet.chunkings (id, content_sha256, parser, settings, chunks, language)
SELECT v.id, v.content, v.parser, v.settings, v.chunks, v.language
FROM unnest(%(ids)s, %(contents)s, %(parsers)s, %(settings)s, %(numbers)s, %(languages)s)
    AS v (id, content, parser, settings, chunks, language)
ON CONFLICT (id) DO NOTHING
