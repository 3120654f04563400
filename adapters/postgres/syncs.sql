-- name: create  -- in the projection's own schema, which the search path names
CREATE TABLE syncs (
    id uuid PRIMARY KEY,
    source uuid NOT NULL,
    position bigint NOT NULL,
    version bigint NOT NULL,
    started_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    state text NOT NULL,
    listed_at timestamptz,
    ended_at timestamptz,
    listed bigint,
    to_fetch bigint,
    left_out bigint,
    totals jsonb NOT NULL,
    error jsonb
) WITH (fillfactor = 80);
CREATE INDEX ON syncs (source, position);
CREATE TABLE errors (
    sync uuid NOT NULL,
    document uuid NOT NULL,
    external_id text NOT NULL,
    code text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (sync, document)
);

-- name: syncs
SELECT s.* FROM syncs AS s WHERE s.id = ANY (%(ids)s)

-- name: save
INSERT INTO syncs (id, source, position, version, started_at, updated_at, state, listed_at, ended_at, listed, to_fetch,
    left_out, totals, error)
SELECT v.id, v.source, v.position, v.version, v.started_at, v.updated_at, v.state, v.listed_at, v.ended_at, v.listed,
    v.to_fetch, v.left_out, v.totals, v.error
FROM jsonb_to_recordset(%(rows)s::jsonb) AS v (id uuid, source uuid, position bigint, version bigint,
    started_at timestamptz, updated_at timestamptz, state text, listed_at timestamptz, ended_at timestamptz,
    listed bigint, to_fetch bigint, left_out bigint, totals jsonb, error jsonb)
ON CONFLICT (id) DO UPDATE SET version = excluded.version, updated_at = excluded.updated_at, state = excluded.state,
    listed_at = excluded.listed_at, ended_at = excluded.ended_at, listed = excluded.listed,
    to_fetch = excluded.to_fetch, left_out = excluded.left_out, totals = excluded.totals, error = excluded.error

-- name: save_errors
INSERT INTO errors (sync, document, external_id, code, reason)
SELECT v.sync, v.document, v.external_id, v.code, v.reason
FROM jsonb_to_recordset(%(rows)s::jsonb)
    AS v (sync uuid, document uuid, external_id text, code text, reason text)
ON CONFLICT (sync, document) DO NOTHING

-- name: checksum  -- of all rows, whatever their order on disk and the time zone of the session
SELECT md5(
    coalesce((SELECT string_agg(md5(row(s.id, s.source, s.position, s.version, extract(epoch FROM s.started_at),
        extract(epoch FROM s.updated_at), s.state, extract(epoch FROM s.listed_at), extract(epoch FROM s.ended_at),
        s.listed, s.to_fetch, s.left_out, s.totals, s.error)::text), '' ORDER BY s.id) FROM syncs AS s), '')
    || coalesce((SELECT string_agg(md5(e::text), '' ORDER BY e.sync, e.document) FROM errors AS e), ''))

-- name: get
SELECT s.* FROM syncs_v1.syncs AS s WHERE s.id = %(id)s AND s.source = %(source)s

-- name: list_newest_first
SELECT s.* FROM syncs_v1.syncs AS s
WHERE s.source = %(source)s AND (%(state)s::text IS NULL OR s.state = %(state)s::text)
    AND s.position < coalesce(%(after)s::bigint, 9223372036854775807)
ORDER BY s.position DESC LIMIT %(limit)s

-- name: list
SELECT s.* FROM syncs_v1.syncs AS s
WHERE s.source = %(source)s AND (%(state)s::text IS NULL OR s.state = %(state)s::text)
    AND s.position > coalesce(%(after)s::bigint, 0)
ORDER BY s.position LIMIT %(limit)s

-- name: last_synced
SELECT max(s.ended_at) FROM syncs_v1.syncs AS s WHERE s.source = %(source)s AND s.state = 'completed'

-- name: errors
SELECT e.sync, e.document, e.external_id, e.code, e.reason FROM syncs_v1.errors AS e
WHERE e.sync = %(id)s AND e.document > coalesce(%(after)s::uuid, '00000000-0000-0000-0000-000000000000')
ORDER BY e.document LIMIT %(limit)s
