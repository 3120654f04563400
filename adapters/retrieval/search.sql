-- name: survey  -- what there is to be searched, and each query's words as the texts there have them, where they matter
SELECT s.id, sh.index, sh.space, sh.model, sp.dimensions, sh.passages, q.number - 1, w.lexemes,
    (SELECT coalesce(sum(o.passages), 0)::bigint FROM passages_v1.shelves o WHERE o.space IS NOT DISTINCT FROM sh.space),
    EXISTS (SELECT FROM passages_v1.parted t WHERE t.shelf = sh.id)
FROM passages_v1.sources s
JOIN passages_v1.shelves sh ON sh.source = s.id AND sh.index = coalesce((%(pins)s::jsonb ->> s.id::text)::integer, s.answering)
LEFT JOIN passages_v1.spaces sp ON sp.name = sh.space
CROSS JOIN unnest(%(queries)s::text[]) WITH ORDINALITY AS q (query, number)
LEFT JOIN LATERAL (
    SELECT array_agg(DISTINCT l.lexeme) AS lexemes FROM passages_v1.shelf_configs c,
        unnest(tsvector_to_array(magnet.words(c.config, q.query))) AS l (lexeme)
    WHERE c.shelf = sh.id AND (%(words)s OR sp.dimensions IS NULL)) AS w ON true
WHERE s.id = ANY (%(sources)s) AND NOT s.archived

-- name: fields  -- `language`: of the text itself, whatever its metadata
SELECT field, type FROM passages_v1.metadata_fields WHERE source = ANY (%(sources)s)
UNION
SELECT m.key, m.value ->> 'type' FROM passages_v1.sources s, jsonb_each(s.mapping::jsonb) AS m
WHERE s.id = ANY (%(sources)s)
UNION
SELECT 'language', 'text'

-- name: frequencies  -- in which share of all passages the most common words are
SELECT w.lexeme, w.share, greatest(c.reltuples, 0)::bigint
FROM pg_stats s
JOIN pg_class c ON c.oid = 'passages_v1.passages'::regclass
CROSS JOIN LATERAL unnest(s.most_common_elems::text::text[], s.most_common_elem_freqs) AS w (lexeme, share)
WHERE s.schemaname = 'passages_v1' AND s.tablename = 'passages' AND s.attname = 'words' AND w.lexeme IS NOT NULL

-- name: shelf  -- what answers now; `open`: also finds documents without an acl of their own
shelf AS MATERIALIZED (
    SELECT coalesce(array_agg(sh.id), '{{}}') AS visible,
        coalesce(array_agg(sh.id) FILTER (WHERE s.acl IS NULL OR s.acl && %(groups)s::text[]), '{{}}') AS open,
        jsonb_object_agg(s.id, sh.index) FILTER (WHERE s.id IS NOT NULL) AS indexes
    FROM passages_v1.sources s
    JOIN passages_v1.shelves sh ON sh.source = s.id AND sh.index = coalesce((%(pins)s::jsonb ->> s.id::text)::integer, s.answering)
    WHERE s.id = ANY (%(sources)s) AND NOT s.archived AND sh.space IS NOT DISTINCT FROM %(space)s::text)

-- name: everything
true

-- name: matching  -- the places that may be found, if they are few: then all of them are looked at; else, how much is ranked
sample AS MATERIALIZED (
    SELECT coalesce(sum(pl.passages), 0) * 128 AS passages FROM passages_v1.places pl
    WHERE pl.shelf = ANY ((SELECT visible FROM shelf)::bigint[]) AND hashint8(pl.id) & 127 = 0 AND {condition}),
matching AS MATERIALIZED (
    SELECT pl.id, pl.passages FROM passages_v1.places pl
    WHERE pl.shelf = ANY ((SELECT visible FROM shelf)::bigint[])
        AND (SELECT passages FROM sample) <= 3 * %(few)s::bigint AND {condition}
    LIMIT %(few)s::bigint + 1),
few AS MATERIALIZED (
    SELECT f.yes, CASE WHEN f.yes THEN 0 ELSE least(%(most_ranked)s::bigint,
        %(ranked)s::bigint * %(passages)s::bigint / greatest(1, (SELECT passages FROM sample))) END AS ranked
    FROM (SELECT (SELECT passages FROM sample) <= 3 * %(few)s::bigint
        AND coalesce(sum(passages), 0) <= %(few)s::bigint AS yes FROM matching) AS f)

-- name: sought  -- a vector that is known once it is set how thoroughly an index is walked, for this statement alone
(SELECT {vector}::halfvec FROM set_config('hnsw.ef_search', %(thoroughness)s::text, true))

-- name: vectors
{vectors} AS MATERIALIZED (
    (SELECT v.id, v.place, v.embedding <=> {vector} AS distance FROM {main} v
    WHERE v.shelf = ANY ((SELECT visible FROM shelf)::bigint[])
    ORDER BY v.embedding <=> {sought} LIMIT {most})
    UNION ALL
    (SELECT v.id, v.place, v.embedding <=> {vector} FROM {fresh} v
    WHERE v.shelf = ANY ((SELECT visible FROM shelf)::bigint[])
    ORDER BY v.embedding <=> {vector}, v.id LIMIT {most}))

-- name: vectors_where
{vectors} AS MATERIALIZED (
    (SELECT v.id, v.place, v.embedding <=> {vector} AS distance FROM {main} v
    WHERE NOT (SELECT yes FROM few) AND v.shelf = ANY ((SELECT visible FROM shelf)::bigint[])
        AND (SELECT {condition} FROM passages_v1.places pl WHERE pl.id = v.place)
    ORDER BY v.embedding <=> {sought} LIMIT {most})
    UNION ALL
    (SELECT v.id, v.place, v.embedding <=> {vector} FROM {fresh} v
    WHERE NOT (SELECT yes FROM few) AND v.shelf = ANY ((SELECT visible FROM shelf)::bigint[])
        AND (SELECT {condition} FROM passages_v1.places pl WHERE pl.id = v.place)
    ORDER BY v.embedding <=> {vector}, v.id LIMIT {most})
    UNION ALL
    (SELECT e.id, e.place, e.distance FROM matching m CROSS JOIN LATERAL (
        SELECT v.id, v.place, v.embedding <=> {vector} AS distance FROM {main} v WHERE v.place = m.id
        UNION ALL
        SELECT v.id, v.place, v.embedding <=> {vector} FROM {fresh} v WHERE v.place = m.id) AS e
    WHERE (SELECT yes FROM few)
    ORDER BY e.distance, e.id LIMIT {most}))

-- name: vectors_named  -- of the large table, what another store names
{vectors} AS MATERIALIZED (
    (SELECT v.id, v.place, v.embedding <=> {vector} AS distance FROM {main} v
    WHERE v.id = ANY ({near}::uuid[]) AND v.shelf = ANY ((SELECT visible FROM shelf)::bigint[])
        AND (SELECT {condition} FROM passages_v1.places pl WHERE pl.id = v.place)
    ORDER BY v.embedding <=> {vector}, v.id LIMIT {most})
    UNION ALL
    (SELECT v.id, v.place, v.embedding <=> {vector} FROM {fresh} v
    WHERE v.shelf = ANY ((SELECT visible FROM shelf)::bigint[])
        AND (SELECT {condition} FROM passages_v1.places pl WHERE pl.id = v.place)
    ORDER BY v.embedding <=> {vector}, v.id LIMIT {most}))

-- name: likely  -- by words: first what has all of them, then what has a rare one and another, then any rare one
SELECT p.id, p.place, p.words FROM passages_v1.passages p
WHERE p.words @@ {every_word}::tsquery AND p.shelf = ANY ((SELECT visible FROM shelf)::bigint[])
UNION ALL
SELECT p.id, p.place, p.words FROM passages_v1.passages p
WHERE p.words @@ {several_words}::tsquery AND (p.words @@ {every_word}::tsquery) IS NOT TRUE
    AND p.shelf = ANY ((SELECT visible FROM shelf)::bigint[])
UNION ALL
SELECT p.id, p.place, p.words FROM passages_v1.passages p
WHERE p.words @@ {some_words}::tsquery AND (p.words @@ {several_words}::tsquery) IS NOT TRUE
    AND p.shelf = ANY ((SELECT visible FROM shelf)::bigint[])

-- name: words
{words} AS MATERIALIZED (
    SELECT c.id, c.place, {rank} AS rank FROM ({likely} LIMIT %(ranked)s::bigint) AS c
    ORDER BY rank DESC, c.id LIMIT {most})

-- name: words_where  -- ranked first: whether a place may be found is asked from the best on, until there are enough
{words} AS MATERIALIZED (
    (SELECT r.id, r.place, r.rank FROM (
        SELECT c.id, c.place, {rank} AS rank FROM ({likely} LIMIT (SELECT ranked FROM few)) AS c
        ORDER BY rank DESC, c.id OFFSET 0) AS r
    WHERE (SELECT {condition} FROM passages_v1.places pl WHERE pl.id = r.place)
    LIMIT {most})
    UNION ALL
    (SELECT c.id, c.place, {rank} AS rank FROM (
        SELECT e.id, e.place, e.words FROM matching m CROSS JOIN LATERAL (
            SELECT p.id, p.place, p.words FROM passages_v1.passages p
            WHERE p.place = m.id OFFSET 0) AS e
        WHERE (SELECT yes FROM few) AND e.words @@ {all_words}::tsquery) AS c
    ORDER BY rank DESC, c.id LIMIT {most}))

-- name: usable  -- the passages that another store's entries name, where they still stand and may be found
SELECT p.id
FROM unnest(%(near_places)s::bigint[], %(near_ordinals)s::integer[], %(near_cuts)s::bytea[])
    WITH ORDINALITY AS n (place, ordinal, cut, number)
JOIN passages_v1.places pl ON pl.id = n.place AND substring(pl.chunking for 4) = n.cut
    AND pl.shelf = ANY ((SELECT visible FROM shelf)::bigint[]) AND {condition}
JOIN passages_v1.passages p ON p.place = n.place AND p.ordinal = n.ordinal AND p.disabled IS NULL
ORDER BY n.number LIMIT {most}

-- name: held  -- the spaces in which a store is asked
SELECT h.space FROM passages_v1.held h
JOIN magnet.vector_stores s ON h.store = s.store || '#' || s.filling WHERE s.store = %(store)s

-- name: any_stored
SELECT EXISTS (SELECT FROM {main})

-- name: candidates
SELECT {number}, coalesce(v.id, w.id), v.distance, w.rank, {factors}
FROM {vectors} v FULL JOIN {words} w ON w.id = v.id

-- name: candidates_of_vectors
SELECT {number}, v.id, v.distance, NULL::real, {factors} FROM {vectors} v

-- name: nearest_told  -- with what is told of the first ones: where nothing but their distance counts, these are wanted
SELECT {number}, v.id, v.distance, NULL::real, {factors}, t.*
FROM (SELECT n.*, row_number() OVER (ORDER BY n.distance, n.id) AS number FROM {vectors} n) AS v
LEFT JOIN LATERAL (SELECT {told} WHERE p.id = v.id AND v.number <= %(told)s::bigint) AS t ON true

-- name: candidates_of_words
SELECT {number}, w.id, NULL::float8, w.rank, {factors} FROM {words} w

-- name: given  -- what is part of another passage is given as that one, once
SELECT g.number, coalesce(p.parent, g.id), min(g.distance), max(g.rank), (array_agg(g.factors))[1]
FROM ({found}) AS g (number, id, distance, rank, factors) LEFT JOIN passages_v1.passages p ON p.id = g.id
GROUP BY g.number, coalesce(p.parent, g.id)

-- name: answering  -- the last row tells which indexes answered
SELECT NULL, NULL, NULL, NULL, (SELECT indexes FROM shelf){nulls}

-- name: no_factors
NULL::jsonb

-- name: factors  -- what a candidate's score is multiplied by: the part of its source, and that of its age
(SELECT jsonb_build_array(coalesce((%(boosts)s::jsonb ->> sh.source::text)::float8, 1), {recency})
FROM passages_v1.places pl JOIN passages_v1.shelves sh ON sh.id = pl.shelf WHERE pl.id = {place})

-- name: ageless
1

-- name: age_by_field  -- a field that is no time counts as none
1 - %(recency)s::float8 + %(recency)s::float8 * coalesce((SELECT 0.5 ^ least(1000.0, greatest(0.0,
    extract(epoch FROM now() - t.time::timestamptz)::float8 / 86400 / %(half_life)s::float8))
    FROM (SELECT pl.fields ->> %(recency_field)s::text AS time) AS t
    WHERE t.time ~ '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T.*Z$' AND pg_input_is_valid(t.time, 'timestamptz')), 0)

-- name: age_by_version  -- when the document's newest version was recorded
1 - %(recency)s::float8 + %(recency)s::float8 * coalesce((SELECT 0.5 ^ least(1000.0, greatest(0.0,
    extract(epoch FROM now() - max(e.recorded_at))::float8 / 86400 / %(half_life)s::float8))
    FROM magnet.magnet_events e
    WHERE e.originator_id = pl.document AND e.topic = 'document.version_added'), 0)

-- name: told  -- what is told of a passage
p.id, p.text, pl.document, pl.version, d.external_id, d.title, d.url, p.start_at, p.end_at, p.page, p.heading, d.metadata, d.source,
    pl.fields ->> 'language' AS language
FROM passages_v1.passages p
JOIN passages_v1.places pl ON pl.id = p.place
JOIN passages_v1.documents d ON d.id = pl.document

-- name: passages  -- in the order of their ids
SELECT {told} JOIN unnest(%(ids)s::uuid[]) WITH ORDINALITY AS u (id, number) ON u.id = p.id ORDER BY u.number

-- name: facets  -- how many of the documents of some passages have which value
SELECT f.field, v.value, count(*)
FROM (SELECT DISTINCT pl.id, pl.fields FROM passages_v1.passages p
    JOIN passages_v1.places pl ON pl.id = p.place WHERE p.id = ANY (%(ids)s)) AS pl
CROSS JOIN unnest(%(fields)s::text[]) AS f (field)
CROSS JOIN LATERAL (SELECT DISTINCT e.value FROM jsonb_array_elements(
    CASE jsonb_typeof(pl.fields -> f.field) WHEN 'array' THEN pl.fields -> f.field
        ELSE jsonb_build_array(pl.fields -> f.field) END) AS e (value)) AS v
WHERE pl.fields ? f.field
GROUP BY f.field, v.value
ORDER BY f.field, count(*) DESC, v.value

-- name: documents_having  -- how many documents some passages are of, and how many of these have each field
SELECT f.field, count(*) FILTER (WHERE pl.fields ? f.field), count(*)
FROM (SELECT DISTINCT pl.id, pl.fields FROM passages_v1.passages p
    JOIN passages_v1.places pl ON pl.id = p.place WHERE p.id = ANY (%(ids)s)) AS pl
CROSS JOIN unnest(%(fields)s::text[]) AS f (field)
GROUP BY f.field

-- name: marked  -- texts with their matched words between two signs, and those that no blanks part from others
SELECT u.id, ts_headline(pl.config::regconfig, regexp_replace(u.text, '[' || magnet.unspaced_signs() || ']', ' ', 'g'),
    q.words, 'HighlightAll=true, StartSel=' || chr(2) || ', StopSel=' || chr(3)), parts.among
FROM unnest(%(ids)s::uuid[], %(texts)s::text[]) AS u (id, text)
JOIN passages_v1.passages p ON p.id = u.id
JOIN passages_v1.places pl ON pl.id = p.place
CROSS JOIN LATERAL (
    SELECT string_agg(quote_literal(l.lexeme), ' | ')::tsquery AS words
    FROM unnest(%(queries)s::text[]) AS asked (query),
        unnest(tsvector_to_array(magnet.words(pl.config, asked.query))) AS l (lexeme)) AS q
CROSS JOIN (
    SELECT coalesce(array_agg(DISTINCT part.word) FILTER (WHERE part.word <> ''), '{}') AS among
    FROM unnest(%(queries)s::text[]) AS asked (query),
        string_to_table(magnet.unspaced_words(asked.query), ' ') AS part (word)) AS parts
WHERE q.words IS NOT NULL

-- name: passages_around  -- with their neighbours in the same version
SELECT {told} WHERE p.id IN (SELECT n.id FROM passages_v1.passages h
    JOIN passages_v1.passages n ON n.place = h.place AND n.parent IS NULL AND n.disabled IS NULL
        AND n.ordinal BETWEEN h.ordinal - %(window)s AND h.ordinal + %(window)s
    WHERE h.id = ANY (%(ids)s))

-- name: sample  -- passages of some documents, as few of each as there can be
WITH shelf AS MATERIALIZED (
    SELECT coalesce(array_agg(sh.id), '{{}}') AS visible,
        coalesce(array_agg(sh.id) FILTER (WHERE s.acl IS NULL OR s.acl && %(groups)s::text[]), '{{}}') AS open
    FROM passages_v1.sources s
    JOIN passages_v1.shelves sh ON sh.source = s.id AND sh.index = s.answering
    WHERE s.id = %(source)s AND NOT s.archived),
chosen AS MATERIALIZED (
    SELECT pl.id FROM passages_v1.places pl
    WHERE pl.shelf = ANY ((SELECT visible FROM shelf)::bigint[]) AND {condition} AND pl.passages > 0
        AND (%(documents)s::uuid[] IS NULL OR pl.document = ANY (%(documents)s::uuid[]))
    ORDER BY hashint8extended(pl.id, %(seed)s), pl.id LIMIT %(count)s),
-- Headings alone, and what is only part of another passage, are asked about last or never.
ranked AS (
    SELECT p.id, hashint8extended(c.id, %(seed)s) AS place, row_number() OVER (PARTITION BY p.place
        ORDER BY char_length(p.text) < 40, hashint8extended(p.ordinal, %(seed)s), p.ordinal) AS turn
    FROM chosen c JOIN passages_v1.passages p ON p.place = c.id AND p.parent IS NULL AND p.disabled IS NULL)
SELECT r.id FROM ranked r ORDER BY r.turn, r.place, r.id LIMIT %(count)s

-- name: answering_index
SELECT s.answering FROM passages_v1.sources s WHERE s.id = %(source)s AND s.answering IS NOT NULL

-- name: session  -- how a session searches: the extension may live elsewhere than in public
SELECT set_config('search_path', (SELECT quote_ident(n.nspname) FROM pg_extension e
        JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'), false),
    set_config('hnsw.iterative_scan', 'relaxed_order', false), set_config('hnsw.ef_search', '100', false),
    set_config('hnsw.max_scan_tuples', '40000', false), set_config('jit', 'off', false),
    set_config('plan_cache_mode', 'force_generic_plan', false)
