-- What has been begun and is not done: leases on what a process carries out, and jobs for any worker.

-- A run or turn that a process carries out: whoever finds `until` passed tells its stream that it was
-- interrupted. Taken and given back in the transaction of the events that begin and end it.
CREATE TABLE magnet.leases (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    stream uuid NOT NULL,
    owner uuid NOT NULL,
    until timestamptz NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
CREATE INDEX leases_owner ON magnet.leases (owner);

-- Work for any worker, at most one job for each (kind, key). Asked for again while it runs, it runs
-- again: `generation` goes up, and only the generation that was taken can be finished.
CREATE TABLE magnet.jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind text NOT NULL,
    key text NOT NULL,
    payload jsonb NOT NULL DEFAULT '{}',
    generation bigint NOT NULL DEFAULT 1,
    attempts integer NOT NULL DEFAULT 0,
    run_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    owner uuid,
    leased_until timestamptz,
    last_error text,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (kind, key)
) WITH (fillfactor = 70, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
CREATE INDEX jobs_due ON magnet.jobs (kind, run_at);

ALTER FUNCTION magnet.apply_effects(jsonb) RENAME TO apply_configuration_effects;

-- As before, with a check under the append's lock:
--   users {id, users}            the things that refer to it are these ids and no others; else `users_changed`
-- and with what concerns work in progress:
--   lease {id, kind, stream, owner, seconds}   release {id}
--   job {kind, key, payload, delay}            (delay in seconds, none = at once)
--   jobs {kind, keys}                          many at once
--   documents {source, ids}                    which documents a source has (table in the next migration)
--   answer {scope, sealed}: what a repeated request is answered, once it is known
CREATE FUNCTION magnet.apply_effects(effects jsonb, OUT outcome text, OUT detail jsonb)
LANGUAGE plpgsql AS $$
DECLARE
    effect jsonb;
    others jsonb;
BEGIN
    FOR effect IN SELECT e FROM jsonb_array_elements(effects) AS e WHERE e ->> 'op' = 'users' LOOP
        IF (SELECT array_agg(DISTINCT u.owner_id ORDER BY u.owner_id) FROM magnet.usages u
            WHERE u.target_id = (effect ->> 'id')::uuid)
            IS DISTINCT FROM
            (SELECT array_agg(DISTINCT e::uuid ORDER BY e::uuid) FROM jsonb_array_elements_text(effect -> 'users') AS e)
        THEN
            outcome := 'users_changed';
            RETURN;
        END IF;
    END LOOP;
    SELECT jsonb_agg(e) INTO others FROM jsonb_array_elements(effects) AS e
    WHERE e ->> 'op' NOT IN ('users', 'lease', 'release', 'job', 'jobs', 'documents', 'answer');
    IF others IS NOT NULL THEN
        SELECT c.outcome, c.detail INTO outcome, detail FROM magnet.apply_configuration_effects(others) AS c;
        IF outcome IS NOT NULL THEN
            RETURN;
        END IF;
    END IF;
    FOR effect IN SELECT * FROM jsonb_array_elements(effects) LOOP
        CASE effect ->> 'op'
        WHEN 'lease' THEN
            INSERT INTO magnet.leases (id, kind, stream, owner, until)
            VALUES ((effect ->> 'id')::uuid, effect ->> 'kind', (effect ->> 'stream')::uuid,
                (effect ->> 'owner')::uuid,
                clock_timestamp() + (effect ->> 'seconds')::float8 * interval '1 second')
            ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, until = excluded.until;
        WHEN 'release' THEN
            DELETE FROM magnet.leases l WHERE l.id = (effect ->> 'id')::uuid;
        WHEN 'job' THEN
            INSERT INTO magnet.jobs AS j (kind, key, payload, run_at)
            VALUES (effect ->> 'kind', effect ->> 'key', coalesce(effect -> 'payload', '{}'),
                clock_timestamp() + coalesce((effect ->> 'delay')::float8, 0) * interval '1 second')
            ON CONFLICT (kind, key) DO UPDATE SET generation = j.generation + 1, payload = excluded.payload,
                run_at = least(j.run_at, excluded.run_at), attempts = 0, last_error = NULL;
            PERFORM pg_notify('magnet_jobs', effect ->> 'kind');
        WHEN 'jobs' THEN
            INSERT INTO magnet.jobs AS j (kind, key)
            SELECT effect ->> 'kind', k.key FROM jsonb_array_elements_text(effect -> 'keys') AS k (key) ORDER BY k.key
            ON CONFLICT (kind, key) DO UPDATE SET generation = j.generation + 1,
                run_at = least(j.run_at, excluded.run_at), attempts = 0, last_error = NULL;
            PERFORM pg_notify('magnet_jobs', effect ->> 'kind');
        WHEN 'documents' THEN
            INSERT INTO magnet.source_documents (source, document)
            SELECT (effect ->> 'source')::uuid, d.id::uuid
            FROM jsonb_array_elements_text(effect -> 'ids') AS d (id) ON CONFLICT DO NOTHING;
        WHEN 'answer' THEN
            UPDATE magnet.idempotency i SET answer = decode(effect ->> 'sealed', 'base64')
            WHERE i.scope = decode(effect ->> 'scope', 'base64');
        ELSE NULL;
        END CASE;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION magnet.apply_effects(jsonb) FROM PUBLIC;

-- What happens in a turn, for those who listen at another process: kept for an hour, sealed with the
-- key of the conversation's subject. The log has what remains of a turn; this is its stream only.
CREATE TABLE magnet.turn_events (
    turn uuid NOT NULL,
    first integer NOT NULL,
    last integer NOT NULL,
    sealed text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (turn, first)
) WITH (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX turn_events_age ON magnet.turn_events (made_at);
