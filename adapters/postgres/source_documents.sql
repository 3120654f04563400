-- name: create  -- in the projection's own schema, which the search path names; JSON is kept as it was written
CREATE TABLE documents (
    id uuid PRIMARY KEY,
    source uuid NOT NULL,
    external_id text NOT NULL,
    position bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version bigint NOT NULL,
    number integer NOT NULL,
    sha256 text NOT NULL,
    size bigint NOT NULL,
    media_type text NOT NULL,
    title text NOT NULL,
    url text,
    metadata text NOT NULL,
    acl text[],
    status text NOT NULL,
    failure text,
    indexes text NOT NULL,
    chunking text,
    removed boolean NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX ON documents (source, position);
CREATE INDEX ON documents (source, status, position) WHERE status <> 'indexed';
CREATE TABLE sources (id uuid PRIMARY KEY, acl text[]);

-- name: is_late  -- whether what came after the first release is there
SELECT to_regclass('documents_content') IS NOT NULL

-- name: late  -- what came after the first release: in a schema that was made before, too
CREATE INDEX documents_content ON documents (sha256) WHERE NOT removed

-- name: documents
SELECT d.* FROM documents AS d WHERE d.id = ANY (%(ids)s)

-- name: save
INSERT INTO documents (id, source, external_id, position, created_at, updated_at, version, number, sha256, size,
    media_type, title, url, metadata, acl, status, failure, indexes, chunking, removed)
SELECT v.id, v.source, v.external_id, v.position, v.created_at::timestamptz, v.updated_at::timestamptz, v.version,
    v.number, v.sha256, v.size, v.media_type, v.title, v.url, v.metadata, string_to_array(v.acl, chr(31)), v.status,
    v.failure, v.indexes, v.chunking, v.removed <> 0
FROM unnest(%(id)s, %(source)s, %(external_id)s, %(position)s, %(created_at)s, %(updated_at)s, %(version)s,
    %(number)s, %(sha256)s, %(size)s, %(media_type)s, %(title)s, %(url)s, %(metadata)s, %(acl)s, %(status)s,
    %(failure)s, %(indexes)s, %(chunking)s, %(removed)s)
    AS v (id, source, external_id, position, created_at, updated_at, version, number, sha256, size, media_type,
        title, url, metadata, acl, status, failure, indexes, chunking, removed)
ON CONFLICT (id) DO UPDATE SET updated_at = excluded.updated_at, version = excluded.version,
    number = excluded.number, sha256 = excluded.sha256, size = excluded.size, media_type = excluded.media_type,
    title = excluded.title, url = excluded.url, metadata = excluded.metadata, acl = excluded.acl,
    status = excluded.status, failure = excluded.failure, indexes = excluded.indexes,
    chunking = excluded.chunking, removed = excluded.removed

-- name: save_access
INSERT INTO sources (id, acl)
SELECT v.id, string_to_array(v.acl, chr(31)) FROM unnest(%(id)s, %(acl)s) AS v (id, acl)
ON CONFLICT (id) DO UPDATE SET acl = excluded.acl

-- name: checksum  -- of all rows, whatever their order on disk and the time zone of the session
SELECT md5(
    coalesce((SELECT string_agg(md5(row(d.id, d.source, d.external_id, d.position,
        extract(epoch FROM d.created_at), extract(epoch FROM d.updated_at), d.version, d.number, d.sha256, d.size,
        d.media_type, d.title, d.url, d.metadata, d.acl, d.status, d.failure, d.indexes, d.chunking,
        d.removed)::text), '' ORDER BY d.id) FROM documents AS d), '')
    || coalesce((SELECT string_agg(md5(s::text), '' ORDER BY s.id) FROM sources AS s), ''))

-- name: get  -- a document without access of its own has its source's; null: everyone
SELECT d.*, c.settings ? 'tokenizer' AS exact
FROM documents_v1.documents AS d JOIN documents_v1.sources AS s ON s.id = d.source
LEFT JOIN magnet.chunkings AS c ON c.id = decode(d.chunking, 'hex')
WHERE d.id = %(id)s AND d.source = %(source)s AND NOT d.removed
    AND (%(everything)s OR coalesce(d.acl, s.acl) IS NULL OR coalesce(d.acl, s.acl) && %(groups)s::text[])

-- name: duplicates  -- other documents with the same content
SELECT d.* FROM documents_v1.documents AS d JOIN documents_v1.sources AS s ON s.id = d.source
WHERE d.sha256 = %(sha256)s AND d.id <> %(id)s AND NOT d.removed
    AND (%(everything)s OR coalesce(d.acl, s.acl) IS NULL OR coalesce(d.acl, s.acl) && %(groups)s::text[])
ORDER BY d.position LIMIT %(limit)s

-- name: language  -- of the text as it was cut into passages
SELECT c.language FROM magnet.chunkings c WHERE c.id = %(chunking)s

-- name: newest_first
SELECT d.*, c.settings ? 'tokenizer' AS exact
FROM documents_v1.documents AS d JOIN documents_v1.sources AS s ON s.id = d.source
LEFT JOIN magnet.chunkings AS c ON c.id = decode(d.chunking, 'hex')
WHERE d.source = %(source)s AND NOT d.removed
    AND (%(everything)s OR coalesce(d.acl, s.acl) IS NULL OR coalesce(d.acl, s.acl) && %(groups)s::text[])
    AND (%(status)s::text IS NULL OR d.status = %(status)s::text)
    AND (%(document)s::uuid IS NULL OR d.id = %(document)s::uuid)
    AND (%(text)s::text IS NULL OR strpos(lower(d.title), lower(%(text)s::text)) > 0)
    AND d.position < coalesce(%(after)s::bigint, 9223372036854775807)
ORDER BY d.position DESC LIMIT %(limit)s

-- name: oldest_first
SELECT d.*, c.settings ? 'tokenizer' AS exact
FROM documents_v1.documents AS d JOIN documents_v1.sources AS s ON s.id = d.source
LEFT JOIN magnet.chunkings AS c ON c.id = decode(d.chunking, 'hex')
WHERE d.source = %(source)s AND NOT d.removed
    AND (%(everything)s OR coalesce(d.acl, s.acl) IS NULL OR coalesce(d.acl, s.acl) && %(groups)s::text[])
    AND (%(status)s::text IS NULL OR d.status = %(status)s::text)
    AND (%(document)s::uuid IS NULL OR d.id = %(document)s::uuid)
    AND (%(text)s::text IS NULL OR strpos(lower(d.title), lower(%(text)s::text)) > 0)
    AND d.position > coalesce(%(after)s::bigint, 0)
ORDER BY d.position LIMIT %(limit)s

-- name: text  -- as it was cut into passages
SELECT p.text FROM magnet.chunkings c
JOIN magnet.parsings p ON p.content_sha256 = c.content_sha256 AND p.parser = c.parser
WHERE c.id = %(chunking)s

-- name: scanned  -- which of its pages are pictures, as it was read
SELECT p.outline -> 'ocr' FROM magnet.chunkings c
JOIN magnet.parsings p ON p.content_sha256 = c.content_sha256 AND p.parser = c.parser
WHERE c.id = %(chunking)s
