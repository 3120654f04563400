-- name: page  -- of the index that answers; what is given as part of another passage is none of its own
SELECT p.id, pl.document, pl.version, d.external_id, d.title, d.url, d.metadata, p.start_at AS start, p.end_at AS end,
    p.page, p.heading, coalesce(c.tokens, (octet_length(p.text) + 3) / 4) AS tokens, p.text,
    CASE WHEN c.cut_sha256 IS NOT NULL OR e.text IS NOT NULL
        THEN substring(pa.text FROM p.start_at + 1 FOR p.end_at - p.start_at) END AS original,
    coalesce(e.start_at, p.start_at) AS named_start, coalesce(e.end_at, p.end_at) AS named_end,
    coalesce(e.sha256, encode(coalesce(c.cut_sha256, c.text_sha256), 'hex')) AS named_sha256,
    e.text IS NOT NULL AS edited,
    e.text IS NOT NULL AND encode(sha256(convert_to(p.text, 'UTF8')), 'hex') <> e.text AS pending,
    coalesce(p.disabled, false) AS disabled, w.document IS NOT NULL AS manual, false AS orphaned, pl.id AS place,
    p.ordinal
FROM passages_v1.sources s
JOIN passages_v1.shelves sh ON sh.source = s.id AND sh.index = s.answering
JOIN passages_v1.places pl ON pl.shelf = sh.id
JOIN passages_v1.documents d ON d.id = pl.document
JOIN passages_v1.passages p ON p.place = pl.id AND p.parent IS NULL
JOIN magnet.chunks c ON c.chunking = pl.chunking AND c.ordinal = p.ordinal
JOIN magnet.chunkings ck ON ck.id = pl.chunking
LEFT JOIN magnet.parsings pa ON pa.content_sha256 = ck.content_sha256 AND pa.parser = ck.parser
LEFT JOIN passages_v1.passage_edits e ON e.id = p.edit
LEFT JOIN passages_v1.written w ON w.document = pl.document
WHERE s.id = %(source)s AND NOT s.archived
    AND (%(everything)s OR coalesce(pl.acl, s.acl) IS NULL OR coalesce(pl.acl, s.acl) && %(groups)s::text[])
    AND (%(everything)s OR coalesce(pl.text_acl, s.acl) IS NULL OR coalesce(pl.text_acl, s.acl) && %(groups)s::text[])
    AND (%(document)s::uuid IS NULL OR pl.document = %(document)s::uuid)
    AND (%(text)s::text IS NULL OR strpos(lower(p.text), lower(%(text)s::text)) > 0)
    AND (%(disabled)s::boolean IS NULL OR coalesce(p.disabled, false) = %(disabled)s::boolean)
    AND (%(manual)s::boolean IS NULL OR (w.document IS NOT NULL) = %(manual)s::boolean)
    AND (%(edited)s::boolean IS NULL OR (e.text IS NOT NULL) = %(edited)s::boolean)
    AND (pl.id, p.ordinal) > (%(place)s::bigint, %(ordinal)s::integer)
ORDER BY pl.id, p.ordinal LIMIT %(limit)s

-- name: get  -- of any index that is kept
SELECT p.id, pl.document, pl.version, d.external_id, d.title, d.url, d.metadata, p.start_at AS start, p.end_at AS end,
    p.page, p.heading, coalesce(c.tokens, (octet_length(p.text) + 3) / 4) AS tokens, p.text,
    CASE WHEN c.cut_sha256 IS NOT NULL OR e.text IS NOT NULL
        THEN substring(pa.text FROM p.start_at + 1 FOR p.end_at - p.start_at) END AS original,
    coalesce(e.start_at, p.start_at) AS named_start, coalesce(e.end_at, p.end_at) AS named_end,
    coalesce(e.sha256, encode(coalesce(c.cut_sha256, c.text_sha256), 'hex')) AS named_sha256,
    e.text IS NOT NULL AS edited,
    e.text IS NOT NULL AND encode(sha256(convert_to(p.text, 'UTF8')), 'hex') <> e.text AS pending,
    coalesce(p.disabled, false) AS disabled, w.document IS NOT NULL AS manual, false AS orphaned, pl.id AS place,
    p.ordinal
FROM passages_v1.passages p
JOIN passages_v1.places pl ON pl.id = p.place
JOIN passages_v1.documents d ON d.id = pl.document
JOIN passages_v1.sources s ON s.id = d.source
JOIN magnet.chunks c ON c.chunking = pl.chunking AND c.ordinal = p.ordinal
JOIN magnet.chunkings ck ON ck.id = pl.chunking
LEFT JOIN magnet.parsings pa ON pa.content_sha256 = ck.content_sha256 AND pa.parser = ck.parser
LEFT JOIN passages_v1.passage_edits e ON e.id = p.edit
LEFT JOIN passages_v1.written w ON w.document = pl.document
WHERE p.id = %(id)s AND p.parent IS NULL AND s.id = %(source)s AND NOT s.archived
    AND (%(everything)s OR coalesce(pl.acl, s.acl) IS NULL OR coalesce(pl.acl, s.acl) && %(groups)s::text[])
    AND (%(everything)s OR coalesce(pl.text_acl, s.acl) IS NULL OR coalesce(pl.text_acl, s.acl) && %(groups)s::text[])

-- name: orphaned  -- edits of documents in the index that answers which no passage there has
SELECT e.id, e.document, pl.version, d.external_id, d.title, d.url, d.metadata, e.start_at AS start, e.end_at AS end,
    NULL::integer AS page, NULL::text AS heading, 0 AS tokens, coalesce(convert_from(co.content, 'UTF8'), '') AS text,
    NULL::text AS original, e.start_at AS named_start, e.end_at AS named_end, e.sha256 AS named_sha256,
    e.text IS NOT NULL AS edited, false AS pending, e.disabled,
    false AS manual, true AS orphaned, e.position AS place, 0 AS ordinal
FROM passages_v1.passage_edits e
JOIN passages_v1.documents d ON d.id = e.document AND NOT d.removed
JOIN passages_v1.sources s ON s.id = d.source
JOIN passages_v1.shelves sh ON sh.source = s.id AND sh.index = s.answering
JOIN passages_v1.places pl ON pl.shelf = sh.id AND pl.document = d.id
LEFT JOIN magnet.contents co ON co.sha256 = decode(e.text, 'hex')
WHERE s.id = %(source)s AND NOT s.archived AND NOT EXISTS (
        SELECT FROM passages_v1.passages p WHERE p.place = pl.id AND p.edit = e.id)
    AND (%(everything)s OR coalesce(pl.acl, s.acl) IS NULL OR coalesce(pl.acl, s.acl) && %(groups)s::text[])
    AND (%(everything)s OR coalesce(pl.text_acl, s.acl) IS NULL OR coalesce(pl.text_acl, s.acl) && %(groups)s::text[])
    AND (%(id)s::uuid IS NULL OR e.id = %(id)s::uuid)
    AND (%(document)s::uuid IS NULL OR e.document = %(document)s::uuid)
    AND e.position > %(place)s::bigint
ORDER BY e.position LIMIT %(limit)s
