-- name: create  -- in the projection's own schema, which the search path names
CREATE TABLE runs (
    id uuid PRIMARY KEY,
    position bigint NOT NULL,
    kind text NOT NULL,
    target_kind text,
    target text,
    target_id uuid,
    version bigint,
    variant text,
    principal text NOT NULL,
    principal_type text NOT NULL,
    principal_name text NOT NULL,
    subject text,
    channel text NOT NULL,
    attributes jsonb NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    outcome text,
    error text,
    duration_ms float8,
    first_token_ms float8,
    versions text NOT NULL DEFAULT '{}',
    input bigint NOT NULL DEFAULT 0,
    cache_read bigint NOT NULL DEFAULT 0,
    cache_write bigint NOT NULL DEFAULT 0,
    output bigint NOT NULL DEFAULT 0,
    reasoning bigint NOT NULL DEFAULT 0,
    estimated boolean NOT NULL DEFAULT false,
    amount numeric NOT NULL DEFAULT 0,
    currency text,
    unknown boolean NOT NULL DEFAULT false
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX ON runs (position);
CREATE INDEX ON runs (started_at);
CREATE INDEX ON runs (subject, position) WHERE subject IS NOT NULL;
CREATE INDEX ON runs (target, position);
CREATE TABLE calls (
    run uuid NOT NULL,
    number integer NOT NULL,
    model text NOT NULL,
    provider text NOT NULL,
    outcome text NOT NULL,
    duration_ms float8 NOT NULL,
    input bigint NOT NULL,
    cache_read bigint NOT NULL,
    cache_write bigint NOT NULL,
    output bigint NOT NULL,
    reasoning bigint NOT NULL,
    estimated boolean NOT NULL,
    amount numeric NOT NULL,
    currency text,
    unknown boolean NOT NULL,
    PRIMARY KEY (run, number)
);

-- name: is_late  -- whether what came after the first release is there
SELECT to_regclass('turns') IS NOT NULL

-- name: late  -- what came after the first release: in a schema that was made before, too
-- What is said of an answer by its run stands in its row. What is said of a turn's answer, or of a conversation, is said in
-- another stream, which may be followed before that of the run or after it, so it has rows of its own.
ALTER TABLE runs ADD COLUMN resolution text, ADD COLUMN language text;
CREATE TABLE turns (run uuid PRIMARY KEY, message uuid NOT NULL, conversation uuid NOT NULL);
CREATE TABLE topics (message uuid PRIMARY KEY, topic text) WITH (fillfactor = 80);
CREATE TABLE feedback (message uuid PRIMARY KEY, rating text NOT NULL) WITH (fillfactor = 80);
CREATE TABLE processed (conversation uuid PRIMARY KEY, resolution text NOT NULL, language text NOT NULL)

-- name: ask_anew  -- what was recorded before these tables were there is to be in them, too; not of what Kafka feeds
UPDATE magnet_read.tracking SET rebuild_requested = true WHERE projection = current_schema() AND position > 0

-- name: topics
INSERT INTO topics (message, topic)
SELECT v.message, v.topic FROM jsonb_to_recordset(%(rows)s::jsonb) AS v (message uuid, topic text)
ON CONFLICT (message) DO UPDATE SET topic = excluded.topic

-- name: feedback
INSERT INTO feedback (message, rating)
SELECT v.message, v.rating FROM jsonb_to_recordset(%(rows)s::jsonb) AS v (message uuid, rating text)
ON CONFLICT (message) DO UPDATE SET rating = excluded.rating

-- name: processed
INSERT INTO processed (conversation, resolution, language)
SELECT v.conversation, v.resolution, v.language
FROM jsonb_to_recordset(%(rows)s::jsonb) AS v (conversation uuid, resolution text, language text)
ON CONFLICT (conversation) DO NOTHING

-- name: begin  -- with how those ended that began and ended at once; and which of which turn they are
WITH known AS (
    INSERT INTO turns (run, message, conversation)
    SELECT t.run, t.message, t.conversation
    FROM jsonb_to_recordset(%(turns)s::jsonb) AS t (run uuid, message uuid, conversation uuid)
    ON CONFLICT (run) DO NOTHING
)
INSERT INTO runs (id, position, kind, target_kind, target, target_id, version, variant, principal,
    principal_type, principal_name, subject, channel, attributes, started_at, outcome, error, duration_ms,
    first_token_ms, ended_at, versions, input, cache_read, cache_write, output, reasoning, estimated, amount,
    currency, unknown, resolution, language)
SELECT v.id, v.position, v.kind, v.target ->> 'kind', v.target ->> 'name', (v.target ->> 'id')::uuid,
    (v.target ->> 'version')::bigint, v.target ->> 'variant', v.principal ->> 'id', v.principal ->> 'type',
    v.principal ->> 'name', v.subject, v.channel, v.attributes, v.started_at,
    e.outcome, e.error, e.duration_ms, e.first_token_ms, e.ended_at, coalesce(e.versions::text, '{}'),
    coalesce(u.input, 0), coalesce(u.cache_read, 0), coalesce(u.cache_write, 0), coalesce(u.output, 0),
    coalesce(u.reasoning, 0), coalesce(u.estimated, false), coalesce((e.cost ->> 'amount')::numeric, 0),
    e.cost ->> 'currency', coalesce(e.unknown, false), e.resolution, e.language
FROM jsonb_to_recordset(%(rows)s::jsonb) AS v (id uuid, position bigint, kind text, target jsonb, principal jsonb,
        subject text, channel text, attributes jsonb, started_at timestamptz, ended jsonb)
    LEFT JOIN LATERAL jsonb_to_record(v.ended) AS e (outcome text, error text, duration_ms float8,
        first_token_ms float8, ended_at timestamptz, versions jsonb, usage jsonb, cost jsonb, unknown boolean,
        resolution text, language text) ON true
    LEFT JOIN LATERAL jsonb_to_record(e.usage) AS u (input bigint, cache_read bigint, cache_write bigint,
        output bigint, reasoning bigint, estimated boolean) ON true
ON CONFLICT (id) DO NOTHING

-- name: end
UPDATE runs AS r SET outcome = e.outcome, error = e.error, duration_ms = e.duration_ms,
    first_token_ms = e.first_token_ms, ended_at = e.ended_at, versions = e.versions::text,
    input = coalesce(u.input, 0), cache_read = coalesce(u.cache_read, 0), cache_write = coalesce(u.cache_write, 0),
    output = coalesce(u.output, 0), reasoning = coalesce(u.reasoning, 0), estimated = coalesce(u.estimated, false),
    amount = (e.cost ->> 'amount')::numeric, currency = e.cost ->> 'currency', unknown = e.unknown,
    resolution = e.resolution, language = e.language
FROM jsonb_to_recordset(%(rows)s::jsonb) AS e (id uuid, outcome text, error text, duration_ms float8,
        first_token_ms float8, ended_at timestamptz, versions jsonb, usage jsonb, cost jsonb, unknown boolean,
        resolution text, language text)
    LEFT JOIN LATERAL jsonb_to_record(e.usage) AS u (input bigint, cache_read bigint, cache_write bigint,
        output bigint, reasoning bigint, estimated boolean) ON true
WHERE r.id = e.id

-- name: calls
INSERT INTO calls (run, number, model, provider, outcome, duration_ms, input, cache_read, cache_write,
    output, reasoning, estimated, amount, currency, unknown)
SELECT v.run, v.number, v.model, v.provider, v.outcome, v.duration_ms, u.input, u.cache_read, u.cache_write,
    u.output, u.reasoning, u.estimated, v.amount, v.currency, v.unknown
FROM jsonb_to_recordset(%(rows)s::jsonb) AS v (run uuid, number integer, model text, provider text, outcome text,
        duration_ms float8, usage jsonb, amount numeric, currency text, unknown boolean),
    LATERAL jsonb_to_record(v.usage) AS u (input bigint, cache_read bigint, cache_write bigint,
        output bigint, reasoning bigint, estimated boolean)
ON CONFLICT (run, number) DO NOTHING

-- name: checksum  -- of all rows, whatever their order on disk and the time zone of the session
-- What came after the first release stands after a dot, where there is any.
SELECT md5(
    coalesce((SELECT string_agg(md5(row(r.id, r.position, r.kind, r.target_kind, r.target, r.target_id,
        r.version, r.variant, r.principal, r.principal_type, r.principal_name, r.subject, r.channel,
        r.attributes, extract(epoch FROM r.started_at), extract(epoch FROM r.ended_at), r.outcome, r.error,
        r.duration_ms, r.first_token_ms, r.versions, r.input, r.cache_read, r.cache_write, r.output,
        r.reasoning, r.estimated, r.amount, r.currency, r.unknown)::text), '' ORDER BY r.id) FROM runs AS r), '')
    || coalesce((SELECT string_agg(md5(c::text), '' ORDER BY c.run, c.number) FROM calls AS c), ''))
    || coalesce('.' || md5(nullif(concat(
        (SELECT string_agg(md5(t::text), '' ORDER BY t.run) FROM turns AS t),
        (SELECT string_agg(md5(t::text), '' ORDER BY t.message) FROM topics AS t),
        (SELECT string_agg(md5(f::text), '' ORDER BY f.message) FROM feedback AS f),
        (SELECT string_agg(md5(p::text), '' ORDER BY p.conversation) FROM processed AS p),
        (SELECT string_agg(md5(row(r.id, r.resolution, r.language)::text), '' ORDER BY r.id) FROM runs AS r
            WHERE r.resolution IS NOT NULL OR r.language IS NOT NULL)), '')), '')

-- name: get
SELECT r.* FROM runs_v1.runs AS r WHERE id = %(id)s

-- name: list  -- the newest first
SELECT r.* FROM runs_v1.runs AS r
WHERE (%(after)s::bigint IS NULL OR position < %(after)s::bigint)
    AND (%(kind)s::text IS NULL OR kind = %(kind)s::text)
    AND (%(target)s::text IS NULL OR target = %(target)s::text OR target_id::text = %(target)s::text)
    AND (%(outcome)s::text IS NULL OR coalesce(outcome, 'running') = %(outcome)s::text)
    AND (%(subject)s::text IS NULL OR subject = %(subject)s::text)
    AND (%(principal)s::text IS NULL OR principal = %(principal)s::text OR principal_name = %(principal)s::text)
    AND (%(only)s::text IS NULL OR principal = %(only)s::text)
    AND (%(channel)s::text IS NULL OR channel = %(channel)s::text)
    AND (%(attributes)s::jsonb = '{}' OR attributes @> %(attributes)s::jsonb)
    AND (%(since)s::timestamptz IS NULL OR started_at >= %(since)s::timestamptz)
    AND (%(until)s::timestamptz IS NULL OR started_at < %(until)s::timestamptz)
    AND (%(found)s::jsonb = '{}' OR (
        SELECT jsonb_build_object('topic', m.topic, 'feedback', f.rating,
            'resolution', coalesce(r.resolution, p.resolution), 'language', coalesce(r.language, p.language))
        FROM (SELECT r.id) AS this (run) LEFT JOIN runs_v1.turns AS t USING (run)
            LEFT JOIN runs_v1.topics AS m ON m.message = t.message
            LEFT JOIN runs_v1.feedback AS f ON f.message = t.message
            LEFT JOIN runs_v1.processed AS p ON p.conversation = t.conversation) @> %(found)s::jsonb)
ORDER BY position DESC LIMIT %(limit)s

-- name: usage  -- of runs; where it is grouped by model or provider, of their calls
WITH counted AS (
    SELECT r.id, r.resolution, r.language, r.started_at,
        date_trunc(%(bucket)s::text, r.started_at AT TIME ZONE 'UTC') AS bucket,
        r.kind, r.target, r.version::text AS version, r.variant, NULL::text AS model, NULL::text AS provider,
        r.principal_name AS principal, r.subject, r.channel, r.attributes, coalesce(r.outcome, 'running') AS outcome,
        coalesce(r.outcome, 'running') NOT IN ('completed', 'running', 'cancelled') AS wrong, r.duration_ms,
        r.input, r.cache_read, r.cache_write, r.output, r.reasoning, r.estimated, r.amount, r.currency, r.unknown
    FROM runs_v1.runs AS r
    WHERE NOT %(calls)s::boolean
    UNION ALL
    SELECT r.id, r.resolution, r.language, r.started_at,
        date_trunc(%(bucket)s::text, r.started_at AT TIME ZONE 'UTC'),
        r.kind, r.target, r.version::text, r.variant, c.model, c.provider, r.principal_name, r.subject,
        r.channel, r.attributes, c.outcome, c.outcome <> 'ok', c.duration_ms, c.input, c.cache_read, c.cache_write,
        c.output, c.reasoning, c.estimated, c.amount, c.currency, c.unknown
    FROM runs_v1.runs AS r JOIN runs_v1.calls AS c ON c.run = r.id
    WHERE %(calls)s::boolean
), grouped AS MATERIALIZED (
    SELECT c.*, jsonb_strip_nulls(jsonb_build_object('bucket', bucket)) || (
        SELECT coalesce(jsonb_object_agg(d.key, d.value), '{}') FROM jsonb_each(told.by) AS d
        WHERE d.key = ANY (%(by)s::text[])) || (
        SELECT coalesce(jsonb_object_agg(b.name, c.attributes -> substr(b.name, 11)), '{}')
        FROM unnest(%(by)s::text[]) AS b (name) WHERE b.name LIKE 'attribute.%%') AS place
    FROM counted AS c
        LEFT JOIN runs_v1.turns AS t ON %(talks)s::boolean AND t.run = c.id
        LEFT JOIN runs_v1.topics AS m ON m.message = t.message
        LEFT JOIN runs_v1.feedback AS f ON f.message = t.message
        LEFT JOIN runs_v1.processed AS p ON p.conversation = t.conversation
        CROSS JOIN LATERAL (SELECT jsonb_build_object('kind', kind, 'target', target, 'version', version,
            'variant', variant, 'model', model, 'provider', provider, 'principal', principal, 'subject', subject,
            'channel', channel, 'outcome', outcome, 'topic', m.topic, 'feedback', f.rating,
            'resolution', coalesce(c.resolution, p.resolution),
            'language', coalesce(c.language, p.language)) AS by) AS told
    WHERE (%(since)s::timestamptz IS NULL OR started_at >= %(since)s::timestamptz)
        AND (%(until)s::timestamptz IS NULL OR started_at < %(until)s::timestamptz)
        AND told.by @> %(filters)s::jsonb
        AND attributes @> %(attributes)s::jsonb
), money AS (
    SELECT place, jsonb_object_agg(currency, amount) AS amounts FROM (
        SELECT place, currency, sum(amount)::text AS amount FROM grouped
        WHERE currency IS NOT NULL GROUP BY place, currency) AS each_currency
    GROUP BY place
)
SELECT g.place, count(*), count(*) FILTER (WHERE wrong), count(DISTINCT subject),
    sum(input)::bigint, sum(cache_read)::bigint, sum(cache_write)::bigint, sum(output)::bigint,
    sum(reasoning)::bigint, bool_or(estimated), coalesce((SELECT amounts FROM money m WHERE m.place = g.place), '{}'),
    bool_or(unknown),
    percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY duration_ms)
FROM grouped AS g GROUP BY g.place ORDER BY g.place LIMIT %(limit)s
