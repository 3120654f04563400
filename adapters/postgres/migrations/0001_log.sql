-- The event log, the only function that writes it, and what is written in the same transaction.
-- Column names of the two event tables are those the eventsourcing library reads.

CREATE TABLE magnet.magnet_events (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    notification_id bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    command_id uuid NOT NULL,
    actor_type text NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    credential text,
    correlation_id text,
    causation_id text,
    idempotency_key text,
    trace_id text,
    reason text,
    hash bytea NOT NULL,
    PRIMARY KEY (originator_id, originator_version)
) WITH (autovacuum_analyze_threshold = 1000, autovacuum_analyze_scale_factor = 0.02);

CREATE UNIQUE INDEX magnet_events_position ON magnet.magnet_events (notification_id)
    INCLUDE (recorded_at);
CREATE INDEX magnet_events_correlation ON magnet.magnet_events (correlation_id)
    WHERE correlation_id IS NOT NULL;

-- States are random-looking JSON of a few hundred bytes: compressing them costs more than it saves.
ALTER TABLE magnet.magnet_events ALTER COLUMN state SET STORAGE EXTERNAL;

CREATE FUNCTION magnet.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the event log is append-only: % is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER events_never_change BEFORE UPDATE OR DELETE ON magnet.magnet_events
    FOR EACH ROW EXECUTE FUNCTION magnet.refuse_change();
CREATE TRIGGER events_never_truncated BEFORE TRUNCATE ON magnet.magnet_events
    FOR EACH STATEMENT EXECUTE FUNCTION magnet.refuse_change();

CREATE TABLE magnet.magnet_snapshots (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (originator_id, originator_version)
);

-- The first answer to a command that carried an Idempotency-Key; answer is sealed.
CREATE TABLE magnet.idempotency (
    scope bytea PRIMARY KEY,
    body_hash bytea NOT NULL,
    answer bytea NOT NULL,
    position bigint NOT NULL,
    recorded_at timestamptz NOT NULL
);
CREATE INDEX idempotency_age ON magnet.idempotency (recorded_at);

-- Who refers to whom, as of the newest event: what `in_use` and `usages` are answered from.
CREATE TABLE magnet.usages (
    owner_id uuid NOT NULL,
    owner_kind text NOT NULL,
    owner_name text NOT NULL,
    path text NOT NULL,
    target_id uuid NOT NULL,
    PRIMARY KEY (owner_id, path, target_id)
);
CREATE INDEX usages_target ON magnet.usages (target_id);

CREATE TABLE magnet.archived (thing_id uuid PRIMARY KEY);

CREATE TABLE magnet.secrets (
    owner_id uuid NOT NULL,
    field text NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (owner_id, field)
);

CREATE TABLE magnet.credentials (
    key_id uuid PRIMARY KEY,
    mac bytea NOT NULL,
    name text NOT NULL,
    roles text[] NOT NULL,
    groups text[] NOT NULL,
    requests_per_minute integer,
    expires_at timestamptz,
    revoked boolean NOT NULL DEFAULT false
);

-- Apart from the credential itself, so that noting a use never touches what decides.
CREATE TABLE magnet.credential_uses (
    key_id uuid PRIMARY KEY,
    last_used_at timestamptz NOT NULL
);

-- wrapped_key is null once the key is destroyed: what it sealed can then never be read again.
CREATE TABLE magnet.data_keys (
    subject_mac bytea PRIMARY KEY,
    key_id uuid NOT NULL UNIQUE,
    wrapped_key bytea,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    destroyed_at timestamptz
);

CREATE TABLE magnet.installation (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    key_fingerprint text NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What a request does besides its events. All checks come before all writes; a check that fails is
-- returned as (outcome, detail) and nothing of the request is written.
CREATE FUNCTION magnet.apply_effects(effects jsonb, OUT outcome text, OUT detail jsonb)
LANGUAGE plpgsql AS $$
DECLARE
    effect jsonb;
    users jsonb;
    found_topic text;
BEGIN
    FOR effect IN SELECT * FROM jsonb_array_elements(effects) LOOP
        CASE effect ->> 'op'
        WHEN 'needs' THEN
            SELECT e.topic INTO found_topic FROM magnet.magnet_events e
            WHERE e.originator_id = (effect ->> 'id')::uuid AND e.originator_version = 1;
            IF found_topic IS DISTINCT FROM (effect ->> 'kind') || '.created' THEN
                outcome := 'unknown_reference';
                detail := jsonb_build_object('kind', effect ->> 'kind', 'pointer', effect ->> 'pointer');
                RETURN;
            END IF;
            IF EXISTS (SELECT FROM magnet.archived a WHERE a.thing_id = (effect ->> 'id')::uuid) THEN
                outcome := 'archived_reference';
                detail := jsonb_build_object('kind', effect ->> 'kind', 'pointer', effect ->> 'pointer');
                RETURN;
            END IF;
        WHEN 'unused' THEN
            SELECT jsonb_agg(DISTINCT jsonb_build_object(
                'kind', u.owner_kind, 'id', u.owner_id, 'name', u.owner_name))
            INTO users FROM magnet.usages u
            WHERE u.target_id = (effect ->> 'id')::uuid AND u.owner_id <> u.target_id;
            IF users IS NOT NULL THEN
                outcome := 'in_use';
                detail := users;
                RETURN;
            END IF;
        ELSE NULL;  -- a write: below
        END CASE;
    END LOOP;
    FOR effect IN SELECT * FROM jsonb_array_elements(effects) LOOP
        CASE effect ->> 'op'
        WHEN 'uses' THEN
            DELETE FROM magnet.usages u WHERE u.owner_id = (effect ->> 'id')::uuid;
            INSERT INTO magnet.usages (owner_id, owner_kind, owner_name, path, target_id)
            SELECT (effect ->> 'id')::uuid, effect ->> 'kind', effect ->> 'name', t.path, t.target
            FROM jsonb_to_recordset(effect -> 'targets') AS t (path text, target uuid);
        WHEN 'archives' THEN
            INSERT INTO magnet.archived (thing_id) VALUES ((effect ->> 'id')::uuid)
            ON CONFLICT DO NOTHING;
        WHEN 'restores' THEN
            DELETE FROM magnet.archived a WHERE a.thing_id = (effect ->> 'id')::uuid;
        WHEN 'secret' THEN
            IF effect ->> 'sealed' IS NULL THEN
                DELETE FROM magnet.secrets s
                WHERE s.owner_id = (effect ->> 'id')::uuid AND s.field = effect ->> 'field';
            ELSE
                INSERT INTO magnet.secrets (owner_id, field, sealed)
                VALUES ((effect ->> 'id')::uuid, effect ->> 'field', decode(effect ->> 'sealed', 'base64'))
                ON CONFLICT (owner_id, field) DO UPDATE SET sealed = excluded.sealed;
            END IF;
        WHEN 'credential' THEN
            INSERT INTO magnet.credentials AS c (key_id, mac, name, roles, groups,
                requests_per_minute, expires_at, revoked)
            VALUES ((effect ->> 'id')::uuid, coalesce(decode(effect ->> 'mac', 'base64'), ''),
                effect ->> 'name',
                ARRAY(SELECT jsonb_array_elements_text(effect -> 'roles')),
                ARRAY(SELECT jsonb_array_elements_text(effect -> 'groups')),
                (effect ->> 'requests_per_minute')::integer,
                (effect ->> 'expires_at')::timestamptz, (effect ->> 'revoked')::boolean)
            ON CONFLICT (key_id) DO UPDATE SET roles = excluded.roles, groups = excluded.groups,
                requests_per_minute = excluded.requests_per_minute,
                expires_at = excluded.expires_at, revoked = excluded.revoked;
            PERFORM pg_notify('magnet_credentials', effect ->> 'id');
        WHEN 'needs', 'unused' THEN NULL;
        ELSE RAISE EXCEPTION 'unknown effect %', effect ->> 'op';
        END CASE;
    END LOOP;
END $$;

-- The only door to the log. Appends the events of many requests in one transaction; each request
-- stands or falls alone. Positions are given under the lock, so they are gapless and in commit order.
--
-- Events come in the order of their requests (numbered from 1), with their request's metadata. What
-- only some requests have is null where none has it: keys (rq_scope and the three after it) and
-- rq_effects, one entry a request.
--
-- A group that is sent again after a lost reply says so (resent): then what is there already is looked
-- for first, so that a command meets its own events before its own key and its own effects.
--
-- Answers the position before the first new event and, if not all requests were recorded, an
-- outcome for each: {"outcome": ..., "first": ..., "detail": ...} where outcome is recorded; repeated
-- (this very command was recorded before, from position `first`: a retry after a lost reply);
-- version_conflict; key_used (detail: whether the body was the same); or what apply_effects says.
-- New events have the positions after `head` in their order, without those of requests not recorded.
--
-- hash = sha256 of the row in PostgreSQL's binary record format: the number of fields (4 bytes), then
--   for each its type's oid, its length in bytes (-1 for null) and its bytes; numbers are big-endian.
--   Fields: position, recorded_at in microseconds since 1970, stream, version, topic, command_id,
--   actor_type, actor_id, actor_name, credential, correlation_id, causation_id, idempotency_key,
--   trace_id, reason, state.
CREATE FUNCTION magnet.append(
    requests integer,
    ev_request integer[], ev_stream uuid[], ev_version bigint[], ev_topic text[], ev_state bytea[],
    ev_command uuid[], ev_actor_type text[], ev_actor_id text[], ev_actor_name text[],
    ev_credential text[], ev_correlation text[], ev_causation text[], ev_key text[],
    ev_trace text[], ev_reason text[],
    rq_scope bytea[], rq_body_hash bytea[], rq_answer bytea[], rq_position bigint[],
    rq_effects jsonb[], resent boolean,
    OUT head bigint, OUT outcomes jsonb
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
SET lock_timeout = '5s'
AS $$
#variable_conflict use_column
DECLARE
    head_time timestamptz;
    now_time timestamptz;
    now_micros bigint;
    refused integer[] := '{}';
    answers jsonb := '{}';
    asked record;
    hit record;
    written bigint;
    look boolean := resent;
BEGIN
    IF pg_client_encoding() <> 'UTF8' THEN
        RAISE EXCEPTION 'the log is written with client_encoding UTF8 only';
    END IF;
    -- A SET of the function itself would end with it, before the commit.
    PERFORM set_config('synchronous_commit', 'on', true);
    PERFORM pg_advisory_xact_lock(5577006791947779410);
    SELECT e.notification_id, e.recorded_at INTO head, head_time
    FROM magnet.magnet_events e ORDER BY e.notification_id DESC LIMIT 1;
    head := coalesce(head, 0);
    now_time := greatest(clock_timestamp(), head_time);
    now_micros := (extract(epoch FROM now_time) * 1000000)::bigint;

    -- Most groups have no conflict, so the first try does not look for one.
    LOOP
    BEGIN
    IF look THEN
        FOR hit IN
            SELECT v.request, bool_and(e.command_id = v.command) AS same, min(e.notification_id) AS first
            FROM unnest(ev_request, ev_stream, ev_version, ev_command)
                AS v (request, stream, version, command)
            CROSS JOIN LATERAL (
                SELECT x.command_id, x.notification_id FROM magnet.magnet_events x
                WHERE x.originator_id = v.stream AND x.originator_version = v.version LIMIT 1) AS e
            GROUP BY v.request
        LOOP
            answers := answers || jsonb_build_object(hit.request, CASE WHEN hit.same
                THEN jsonb_build_object('outcome', 'repeated', 'first', hit.first)
                ELSE jsonb_build_object('outcome', 'version_conflict') END);
            refused := refused || hit.request;
        END LOOP;
    END IF;

    IF rq_scope IS NOT NULL THEN
        FOR asked IN
            SELECT r.n::integer AS n, r.scope, r.body_hash
            FROM unnest(rq_scope, rq_body_hash) WITH ORDINALITY AS r (scope, body_hash, n)
            WHERE r.scope IS NOT NULL
        LOOP
            CONTINUE WHEN answers -> asked.n::text ->> 'outcome' = 'repeated';
            SELECT i.body_hash = asked.body_hash AS same, i.recorded_at INTO hit
            FROM magnet.idempotency i WHERE i.scope = asked.scope;
            IF FOUND AND hit.recorded_at < now_time - interval '7 days' THEN
                DELETE FROM magnet.idempotency i WHERE i.scope = asked.scope;
            ELSIF FOUND THEN
                answers := answers || jsonb_build_object(asked.n,
                    jsonb_build_object('outcome', 'key_used', 'detail', hit.same));
                refused := refused || asked.n;
            END IF;
        END LOOP;
    END IF;

    IF rq_effects IS NOT NULL THEN
        FOR asked IN
            SELECT r.n::integer AS n, r.effects
            FROM unnest(rq_effects) WITH ORDINALITY AS r (effects, n)
            WHERE r.effects IS NOT NULL
        LOOP
            CONTINUE WHEN asked.n = ANY (refused);
            SELECT * INTO hit FROM magnet.apply_effects(asked.effects);
            IF hit.outcome IS NOT NULL THEN
                answers := answers || jsonb_build_object(asked.n,
                    jsonb_build_object('outcome', hit.outcome, 'detail', hit.detail));
                refused := refused || asked.n;
            END IF;
        END LOOP;
    END IF;

    INSERT INTO magnet.magnet_events (originator_id, originator_version, topic, state,
        notification_id, recorded_at, command_id, actor_type, actor_id, actor_name,
        credential, correlation_id, causation_id, idempotency_key, trace_id, reason, hash)
    SELECT p.stream, p.version, p.topic, p.state, p.position, now_time, p.command, p.actor_type,
        p.actor_id, p.actor_name, p.credential, p.correlation, p.causation, p.key, p.trace, p.reason,
        sha256(record_send(ROW(p.position, now_micros, p.stream, p.version, p.topic, p.command,
            p.actor_type, p.actor_id, p.actor_name, p.credential, p.correlation, p.causation,
            p.key, p.trace, p.reason, p.state)))
    FROM (
        SELECT v.*, head + row_number() OVER (ORDER BY v.place) AS position
        FROM unnest(ev_request, ev_stream, ev_version, ev_topic, ev_state, ev_command,
            ev_actor_type, ev_actor_id, ev_actor_name, ev_credential, ev_correlation,
            ev_causation, ev_key, ev_trace, ev_reason) WITH ORDINALITY
            AS v (request, stream, version, topic, state, command, actor_type, actor_id, actor_name,
                credential, correlation, causation, key, trace, reason, place)
        WHERE v.request <> ALL (refused)
    ) AS p;
    GET DIAGNOSTICS written = ROW_COUNT;

    IF rq_scope IS NOT NULL THEN
        -- The record's position is the command's last event; with no event, the one it was given.
        WITH placed AS (
            SELECT v.request, head + row_number() OVER (ORDER BY v.place) AS position
            FROM unnest(ev_request) WITH ORDINALITY AS v (request, place)
            WHERE v.request <> ALL (refused)
        ), ends AS (
            SELECT p.request, max(p.position) AS position FROM placed p GROUP BY p.request
        )
        INSERT INTO magnet.idempotency (scope, body_hash, answer, position, recorded_at)
        SELECT k.scope, k.body_hash, k.answer, coalesce(e.position, k.known), now_time
        FROM unnest(rq_scope, rq_body_hash, rq_answer, rq_position) WITH ORDINALITY
            AS k (scope, body_hash, answer, known, n)
        LEFT JOIN ends e ON e.request = k.n
        WHERE k.scope IS NOT NULL AND k.n <> ALL (refused);
    END IF;

    EXIT;
    EXCEPTION WHEN unique_violation THEN
        IF look THEN
            RAISE;
        END IF;
        look := true;
        refused := '{}';
        answers := '{}';
    END;
    END LOOP;

    IF written > 0 THEN
        PERFORM pg_notify('magnet_log', (head + written)::text);
    END IF;
    IF refused <> '{}' THEN
        SELECT jsonb_agg(coalesce(answers -> n::text, '{"outcome": "recorded"}') ORDER BY n)
        INTO outcomes FROM generate_series(1, requests) AS n;
    END IF;
END $$;
