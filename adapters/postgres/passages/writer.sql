-- name: sources
SELECT id, answering, archived, language, acl, mapping FROM sources WHERE id = ANY (%(ids)s)

-- name: shelves
SELECT source, id, index, space, model FROM shelves WHERE source = ANY (%(ids)s) ORDER BY id

-- name: documents
SELECT id, source, external_id, number, title, url, metadata, acl, acls, fields, types, removed
FROM documents WHERE id = ANY (%(ids)s)

-- name: documents_of
SELECT id, source, external_id, number, title, url, metadata, acl, acls, fields, types, removed
FROM documents WHERE source = %(source)s AND id > %(after)s ORDER BY id LIMIT %(limit)s

-- name: save_sources
INSERT INTO sources (id, answering, archived, language, acl, mapping)
SELECT v.id, nullif(v.answering, 0), v.archived <> 0, v.language, string_to_array(v.acl, chr(31)), v.mapping
FROM unnest(%(id)s, %(answering)s, %(archived)s, %(language)s, %(acl)s, %(mapping)s)
    AS v (id, answering, archived, language, acl, mapping)
ON CONFLICT (id) DO UPDATE SET answering = excluded.answering, archived = excluded.archived,
    language = excluded.language, acl = excluded.acl, mapping = excluded.mapping

-- name: save_shelves
INSERT INTO shelves (id, source, index, space, model)
SELECT v.id, v.source, v.index, v.space, v.model::uuid
FROM unnest(%(id)s, %(source)s, %(index)s, %(space)s, %(model)s) AS v (id, source, index, space, model)
ON CONFLICT (id) DO NOTHING

-- name: save_documents
INSERT INTO documents (id, source, external_id, number, title, url, metadata, acl, acls, fields, types, removed)
SELECT v.id, v.source, v.external_id, v.number, v.title, v.url, v.metadata, string_to_array(v.acl, chr(31)),
    v.acls, v.fields, v.types, v.removed <> 0
FROM unnest(%(id)s, %(source)s, %(external_id)s, %(number)s, %(title)s, %(url)s, %(metadata)s, %(acl)s,
    %(acls)s, %(fields)s, %(types)s, %(removed)s)
    AS v (id, source, external_id, number, title, url, metadata, acl, acls, fields, types, removed)
ON CONFLICT (id) DO UPDATE SET number = excluded.number, title = excluded.title, url = excluded.url,
    metadata = excluded.metadata, acl = excluded.acl, acls = excluded.acls, fields = excluded.fields,
    types = excluded.types, removed = excluded.removed

-- name: save_details  -- of what stands on shelves already
UPDATE places pl SET acl = d.acl, title = d.title,
    fields = coalesce((SELECT jsonb_build_object('language', split_part(replace(lower(c.language), '_', '-'), '-', 1))
        FROM magnet.chunkings c WHERE c.id = pl.chunking AND c.language IS NOT NULL), '{}') || d.fields::jsonb,
    text_acl = CASE WHEN pl.version = d.number THEN d.acl ELSE pl.text_acl END
FROM documents d WHERE d.id = pl.document AND d.id = ANY (%(ids)s)

-- name: retitle  -- before save_details: the title is among a passage's words
UPDATE passages p SET words = magnet.words(pl.config,
    concat_ws(' ', d.title, p.heading, left(coalesce(p.searched, p.text), 100000)))
FROM places pl JOIN documents d ON d.id = pl.document
WHERE p.place = pl.id AND d.id = ANY (%(ids)s) AND pl.title <> d.title
    AND p.searched IS DISTINCT FROM '' AND p.disabled IS NULL

-- name: count_fields
INSERT INTO metadata_fields AS f (source, field, type, documents)
SELECT v.source, v.field, v.type, v.difference
FROM unnest(%(source)s, %(field)s, %(type)s, %(difference)s) AS v (source, field, type, difference)
ON CONFLICT (source, field, type) DO UPDATE SET documents = f.documents + excluded.documents

-- name: drop_fields
DELETE FROM metadata_fields WHERE documents <= 0 AND source = ANY (%(source)s)

-- name: places_of
DELETE FROM places WHERE document = ANY (%(documents)s) RETURNING id, shelf, passages

-- name: places_at
DELETE FROM places pl USING unnest(%(documents)s, %(shelves)s) AS v (document, shelf)
WHERE pl.document = v.document AND pl.shelf = v.shelf RETURNING pl.id, pl.shelf, pl.passages

-- name: count_deleted
UPDATE shelves s SET passages = s.passages - d.passages
FROM (SELECT v.shelf, sum(v.passages) AS passages FROM unnest(%(shelf)s, %(passages)s) AS v (shelf, passages)
    GROUP BY v.shelf) AS d
WHERE s.id = d.shelf

-- name: space_names
SELECT name FROM spaces ORDER BY name

-- name: delete_passages
DELETE FROM passages WHERE place = ANY (%(places)s)

-- name: delete_fresh  -- before delete_main: upkeep moves rows from fresh to main, never back
DELETE FROM {fresh} WHERE place = ANY (%(places)s)

-- name: delete_main
DELETE FROM {main} WHERE place = ANY (%(places)s)

-- name: add_places
INSERT INTO places (id, shelf, document, version, chunking, passages, config, title, acl, text_acl, fields)
SELECT v.id, v.shelf, v.document, v.version, v.chunking, v.passages,
    coalesce(own.config, found.config, 'simple'), d.title, d.acl, string_to_array(v.text_acl, chr(31)),
    -- The text's own language is a field, unless the document has one of that name.
    CASE WHEN c.language IS NULL THEN '{}'::jsonb
        ELSE jsonb_build_object('language', split_part(replace(lower(c.language), '_', '-'), '-', 1)) END
        || d.fields::jsonb
FROM unnest(%(id)s, %(shelf)s, %(document)s, %(version)s, %(chunking)s, %(passages)s, %(text_acl)s)
    AS v (id, shelf, document, version, chunking, passages, text_acl)
JOIN documents d ON d.id = v.document
JOIN sources s ON s.id = d.source
JOIN magnet.chunkings c ON c.id = v.chunking
LEFT JOIN languages own ON own.language = lower(s.language)
LEFT JOIN languages found ON found.language = lower(c.language)

-- name: count_added  -- and note in which configurations a shelf's words are
WITH added AS (SELECT pl.shelf, pl.passages, pl.config FROM places pl WHERE pl.id = ANY (%(places)s)),
noted AS (INSERT INTO shelf_configs (shelf, config) SELECT DISTINCT a.shelf, a.config FROM added a
    ON CONFLICT DO NOTHING)
UPDATE shelves s SET passages = s.passages + d.passages
FROM (SELECT a.shelf, sum(a.passages) AS passages FROM added a GROUP BY a.shelf) AS d
WHERE s.id = d.shelf

-- name: add_passages  -- new words wait in few pages: a search reads all of them, and its plan leaves the index where they are many
WITH bounded AS MATERIALIZED (SELECT set_config('gin_pending_list_limit', '1MB', true))
INSERT INTO passages (id, place, shelf, ordinal, start_at, end_at, page, heading, text, words, searched, parent)
SELECT i.id, pl.id, pl.shelf, c.ordinal, c.start_at, c.end_at, c.page, c.heading, c.text,
    CASE WHEN c.searched = '' THEN ''::tsvector ELSE coalesce(
        -- Of the same words, on another shelf: an index that is built anew for another model makes none.
        (SELECT p.words FROM places o JOIN passages p ON p.place = o.id AND p.ordinal = c.ordinal
            WHERE o.document = pl.document AND o.shelf <> pl.shelf AND o.chunking = pl.chunking
                AND o.config = pl.config AND o.title = pl.title AND p.disabled IS NULL LIMIT 1),
        magnet.words(pl.config, concat_ws(' ', pl.title, c.heading, left(coalesce(c.searched, c.text), 100000)))) END,
    c.searched, CASE WHEN c.parent IS NOT NULL THEN (%(ids)s::uuid[])[i.number - c.ordinal + c.parent] END
FROM bounded CROSS JOIN unnest(%(ids)s, %(places)s, %(ordinals)s) WITH ORDINALITY AS i (id, place, ordinal, number)
JOIN places pl ON pl.id = i.place
JOIN magnet.chunks c ON c.chunking = pl.chunking AND c.ordinal = i.ordinal

-- name: note_parted
INSERT INTO parted (shelf) SELECT DISTINCT p.shelf FROM passages p
WHERE p.place = ANY (%(places)s) AND p.parent IS NOT NULL ON CONFLICT DO NOTHING

-- name: searched  -- how many of these are searched at all
SELECT count(*) FROM passages p WHERE p.place = ANY (%(places)s) AND p.searched IS DISTINCT FROM ''

-- name: add_vectors
INSERT INTO {fresh} (place, shelf, id, embedding)
SELECT pl.id, pl.shelf, i.id, e.embedding
FROM unnest(%(ids)s, %(places)s, %(ordinals)s) AS i (id, place, ordinal)
JOIN places pl ON pl.id = i.place
JOIN magnet.chunks c ON c.chunking = pl.chunking AND c.ordinal = i.ordinal AND c.searched IS DISTINCT FROM ''
JOIN magnet.embeddings e ON e.space = %(space)s AND e.text_sha256 = c.text_sha256

-- name: save_edits
INSERT INTO passage_edits (id, document, position, start_at, end_at, sha256, text, disabled)
SELECT v.id, v.document, v.position, v.start_at, v.end_at, v.sha256, v.text, v.disabled <> 0
FROM unnest(%(id)s, %(document)s, %(position)s, %(start_at)s, %(end_at)s, %(sha256)s, %(text)s, %(disabled)s)
    AS v (id, document, position, start_at, end_at, sha256, text, disabled)
ON CONFLICT (id) DO UPDATE SET position = excluded.position, text = excluded.text, disabled = excluded.disabled

-- name: drop_edits  -- one that changes nothing any more is none
DELETE FROM passage_edits WHERE document = ANY (%(documents)s) AND text IS NULL AND NOT disabled

-- name: edits
SELECT id, document, start_at, end_at, sha256, text, disabled FROM passage_edits WHERE document = ANY (%(documents)s)

-- name: save_written
INSERT INTO written (document) SELECT unnest(%(documents)s) ON CONFLICT DO NOTHING

-- name: standing  -- what stands on shelves of these documents
SELECT pl.id, pl.document, pl.version, pl.chunking, pl.passages, sh.id, sh.index, sh.space, sh.model, sp.dimensions
FROM places pl JOIN shelves sh ON sh.id = pl.shelf LEFT JOIN spaces sp ON sp.name = sh.space
WHERE pl.document = ANY (%(documents)s) ORDER BY pl.id

-- name: cut  -- the passages of documents that edits can mean, and the text that was cut there
SELECT p.id, p.place, pl.document, p.ordinal, p.start_at, encode(coalesce(c.cut_sha256, c.text_sha256), 'hex')
FROM places pl
JOIN passages p ON p.place = pl.id AND p.parent IS NULL
JOIN magnet.chunks c ON c.chunking = pl.chunking AND c.ordinal = p.ordinal
WHERE pl.document = ANY (%(documents)s) ORDER BY p.place, p.ordinal

-- name: mark
UPDATE passages p SET edit = v.edit FROM unnest(%(passages)s, %(edits)s) AS v (passage, edit) WHERE p.id = v.passage

-- name: disable  -- with what is found instead of it
UPDATE passages p SET disabled = true, words = ''
WHERE p.id = ANY (%(passages)s) OR p.parent = ANY (%(passages)s) RETURNING p.id, p.place

-- name: delete_fresh_of  -- before delete_main_of
DELETE FROM {fresh} WHERE place = ANY (%(places)s) AND id = ANY (%(passages)s)

-- name: delete_main_of
DELETE FROM {main} WHERE place = ANY (%(places)s) AND id = ANY (%(passages)s)

-- name: new_configs
WITH changed AS (UPDATE places pl SET config = coalesce(own.config, found.config, 'simple')
FROM documents d
JOIN sources s ON s.id = d.source AND s.id = ANY (%(sources)s)
LEFT JOIN languages own ON own.language = lower(s.language),
magnet.chunkings c LEFT JOIN languages found ON found.language = lower(c.language)
WHERE d.id = pl.document AND c.id = pl.chunking
RETURNING pl.shelf, pl.config)
INSERT INTO shelf_configs (shelf, config) SELECT DISTINCT c.shelf, c.config FROM changed c ON CONFLICT DO NOTHING

-- name: reword
UPDATE passages p SET words = magnet.words(pl.config,
    concat_ws(' ', pl.title, p.heading, left(coalesce(p.searched, p.text), 100000)))
FROM places pl JOIN documents d ON d.id = pl.document AND d.source = ANY (%(sources)s)
WHERE p.place = pl.id AND p.searched IS DISTINCT FROM '' AND p.disabled IS NULL

-- name: checksum_rows  -- whatever their order on disk
SELECT md5(concat_ws(',',
    (SELECT coalesce(md5(string_agg(md5(t::text), '' ORDER BY t.id)), '') FROM sources t),
    (SELECT coalesce(md5(string_agg(md5(t::text), '' ORDER BY t.id)), '') FROM shelves t),
    (SELECT coalesce(md5(string_agg(md5(t::text), '' ORDER BY t.id)), '') FROM documents t),
    (SELECT coalesce(md5(string_agg(md5(t::text), '' ORDER BY t.id)), '') FROM places t),
    (SELECT coalesce(md5(string_agg(md5(t::text), '' ORDER BY t.source, t.field, t.type)), '') FROM metadata_fields t),
    (SELECT count(*) FROM passages),
    (SELECT coalesce(bit_xor(hashtextextended(concat_ws(',', t.id, t.place, t.shelf, t.ordinal, t.start_at, t.end_at,
        t.page, octet_length(t.heading), octet_length(t.text), octet_length(t.searched), t.parent, t.edit,
        t.disabled), 0)), 0) FROM passages t),
    -- Null where there is none: what was stored before comes out as it did.
    (SELECT md5(string_agg(md5(t::text), '' ORDER BY t.id)) FROM passage_edits t),
    (SELECT md5(string_agg(t.document::text, '' ORDER BY t.document)) FROM written t),
    (SELECT md5(string_agg(t.shelf::text, '' ORDER BY t.shelf)) FROM parted t)))

-- name: checksum_space
SELECT concat_ws(',', %(space)s::text, count(*), coalesce(bit_xor(hashtextextended(
    concat_ws(',', t.place, t.shelf, t.id, md5({vectors}.halfvec_send(t.embedding))), 0)), 0))
FROM (SELECT * FROM {fresh} UNION ALL SELECT * FROM {main}) AS t
