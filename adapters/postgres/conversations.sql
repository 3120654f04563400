-- name: create  -- in the projection's own schema, which the search path names
CREATE TABLE conversations (
    id uuid PRIMARY KEY,
    position bigint NOT NULL,
    agent uuid NOT NULL,
    subject text,
    principal text NOT NULL,
    principal_type text NOT NULL,
    principal_name text NOT NULL,
    closed boolean NOT NULL DEFAULT false,
    state text,
    turns integer NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX ON conversations (position);
CREATE INDEX ON conversations (principal, position);
CREATE INDEX ON conversations (subject, position) WHERE subject IS NOT NULL;
CREATE INDEX ON conversations (agent, position);

-- name: begin
INSERT INTO conversations (id, position, agent, subject, principal, principal_type, principal_name,
    created_at, updated_at)
SELECT (v ->> 'id')::uuid, (v ->> 'position')::bigint, (v ->> 'agent')::uuid, v ->> 'subject',
    v #>> '{principal,id}', v #>> '{principal,type}', v #>> '{principal,name}',
    (v ->> 'created_at')::timestamptz, (v ->> 'created_at')::timestamptz
FROM jsonb_array_elements(%(rows)s::jsonb) AS v
ON CONFLICT (id) DO NOTHING

-- name: change
UPDATE conversations AS c SET version = (v ->> 'version')::bigint,
    updated_at = (v ->> 'updated_at')::timestamptz, turns = coalesce((v ->> 'turns')::integer, c.turns),
    state = coalesce(v ->> 'state', c.state), closed = c.closed OR (v ->> 'closed')::boolean
FROM jsonb_array_elements(%(rows)s::jsonb) AS v
WHERE c.id = (v ->> 'id')::uuid

-- name: checksum  -- of all rows, whatever their order on disk and the time zone of the session
SELECT coalesce(md5(string_agg(md5(row(c.id, c.position, c.agent, c.subject, c.principal, c.principal_type,
    c.principal_name, c.closed, c.state, c.turns, c.version, extract(epoch FROM c.created_at),
    extract(epoch FROM c.updated_at))::text), '' ORDER BY c.id)), md5(''))
FROM conversations AS c

-- name: list
SELECT c.* FROM conversations_v1.conversations AS c
WHERE (%(after)s::bigint IS NULL OR position > %(after)s::bigint)
    AND (%(agent)s::uuid IS NULL OR agent = %(agent)s::uuid)
    AND (%(subject)s::text IS NULL OR subject = %(subject)s::text)
    AND (%(closed)s::boolean IS NULL OR closed = %(closed)s::boolean)
    AND (%(state)s::text IS NULL OR state = %(state)s::text)
    AND (%(since)s::timestamptz IS NULL OR updated_at >= %(since)s::timestamptz)
    AND (%(principal)s::text IS NULL OR (principal = %(principal)s::text
        AND principal_type = %(principal_type)s::text))
ORDER BY position LIMIT %(limit)s

-- name: list_newest_first
SELECT c.* FROM conversations_v1.conversations AS c
WHERE (%(after)s::bigint IS NULL OR position < %(after)s::bigint)
    AND (%(agent)s::uuid IS NULL OR agent = %(agent)s::uuid)
    AND (%(subject)s::text IS NULL OR subject = %(subject)s::text)
    AND (%(closed)s::boolean IS NULL OR closed = %(closed)s::boolean)
    AND (%(state)s::text IS NULL OR state = %(state)s::text)
    AND (%(since)s::timestamptz IS NULL OR updated_at >= %(since)s::timestamptz)
    AND (%(principal)s::text IS NULL OR (principal = %(principal)s::text
        AND principal_type = %(principal_type)s::text))
ORDER BY position DESC LIMIT %(limit)s
