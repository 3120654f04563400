-- name: create  -- in the projection's own schema, which the search path names
CREATE TABLE things (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    name text NOT NULL,
    title text NOT NULL,
    description text NOT NULL,
    tags text[] NOT NULL,
    archived boolean NOT NULL,
    version bigint NOT NULL,
    position bigint NOT NULL,
    created_position bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- text, not jsonb: 1e22 and -0.0 are to be read as they were written
    state text NOT NULL,
    document text NOT NULL
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX ON things (kind, created_position);
CREATE INDEX ON things USING gin (tags);

-- name: load
SELECT id, kind, name, title, description, tags, archived, version, position, created_position,
    created_at, updated_at, state, document
FROM things WHERE id = ANY (%(ids)s)

-- name: names_inside  -- from the log, which has them also while a stream is set aside
SELECT e.originator_id, convert_from(e.state, 'UTF8')::json ->> 'name' FROM magnet.magnet_events e
WHERE e.originator_id = ANY (%(ids)s) AND e.originator_version = 1

-- name: save
INSERT INTO things AS t (id, kind, name, title, description, tags, archived, version, position,
    created_position, created_at, updated_at, state, document)
SELECT v.id, v.kind, v.name, v.title, v.description,
    string_to_array(v.tags, chr(31)), v.archived <> 0, v.version, v.position,
    v.created_position, to_timestamp(0) + v.created_at * interval '1 microsecond',
    to_timestamp(0) + v.updated_at * interval '1 microsecond', v.state, v.document
FROM unnest(%(id)s, %(kind)s, %(name)s, %(title)s, %(description)s, %(tags)s, %(archived)s, %(version)s,
    %(position)s, %(created_position)s, %(created_at)s, %(updated_at)s, %(state)s, %(document)s)
    AS v (id, kind, name, title, description, tags, archived, version, position, created_position,
        created_at, updated_at, state, document)
ON CONFLICT (id) DO UPDATE SET title = excluded.title, description = excluded.description,
    tags = excluded.tags, archived = excluded.archived, version = excluded.version,
    position = excluded.position, updated_at = excluded.updated_at, state = excluded.state,
    document = excluded.document

-- name: checksum  -- of all rows, whatever their order on disk and the time zone of the session
SELECT coalesce(md5(string_agg(md5(row(t.id, t.kind, t.name, t.title, t.description, t.tags, t.archived,
    t.version, t.position, t.created_position, extract(epoch FROM t.created_at),
    extract(epoch FROM t.updated_at), t.state, t.document)::text), '' ORDER BY t.id)), md5(''))
FROM things AS t

-- name: get
SELECT id, kind, name, title, description, tags, archived, version, position, created_position,
    created_at, updated_at, state, document
FROM configurations_v1.things WHERE id = ANY (%(ids)s)

-- name: list
SELECT created_position, document FROM configurations_v1.things
WHERE kind = %(kind)s
    AND (archived = false OR %(archived)s)
    AND (%(after)s::bigint IS NULL OR created_position > %(after)s::bigint)
    AND (%(tag)s::text IS NULL OR tags @> ARRAY[%(tag)s::text])
    AND (%(text)s::text IS NULL OR strpos(lower(name || ' ' || title || ' ' || description),
        lower(%(text)s::text)) > 0)
ORDER BY created_position LIMIT %(limit)s

-- name: list_newest_first
SELECT created_position, document FROM configurations_v1.things
WHERE kind = %(kind)s
    AND (archived = false OR %(archived)s)
    AND (%(after)s::bigint IS NULL OR created_position < %(after)s::bigint)
    AND (%(tag)s::text IS NULL OR tags @> ARRAY[%(tag)s::text])
    AND (%(text)s::text IS NULL OR strpos(lower(name || ' ' || title || ' ' || description),
        lower(%(text)s::text)) > 0)
ORDER BY created_position DESC LIMIT %(limit)s

-- name: tags
SELECT tag, count(*) FROM configurations_v1.things, unnest(tags) AS tag
WHERE NOT archived AND kind <> ALL (%(without)s) AND (%(after)s::text IS NULL OR tag COLLATE "C" > %(after)s::text)
GROUP BY tag ORDER BY tag COLLATE "C" LIMIT %(limit)s

-- name: usages  -- exact: written with each command
SELECT owner_kind, owner_id, owner_name, path FROM magnet.usages
WHERE target_id = %(id)s AND (%(kind)s::text IS NULL
    OR (owner_kind COLLATE "C", owner_name COLLATE "C", path COLLATE "C", owner_id::text COLLATE "C")
        > (%(kind)s::text, %(name)s::text, %(path)s::text, %(owner)s::text))
ORDER BY owner_kind COLLATE "C", owner_name COLLATE "C", path COLLATE "C", owner_id::text COLLATE "C"
LIMIT %(limit)s
