-- Who read the event log, or tried to, and who was refused what: beside the log, and as little to be changed.

CREATE TABLE magnet.access_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor_type text NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    credential text,
    address text,
    method text NOT NULL,
    path text NOT NULL,
    -- As it was sent, percent-encoded; `...` at its end stands for what was too long.
    query text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('allowed', 'refused', 'failed')),
    status integer NOT NULL,
    code text,
    -- More than one where many attempts of nobody known are told in one row.
    attempts integer NOT NULL,
    request_id text NOT NULL
);
CREATE INDEX access_log_actor ON magnet.access_log (actor_name, id);

CREATE FUNCTION magnet.refuse_change_of_accesses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the access log is append-only: % is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER accesses_never_change BEFORE UPDATE OR DELETE ON magnet.access_log
    FOR EACH ROW EXECUTE FUNCTION magnet.refuse_change_of_accesses();
CREATE TRIGGER accesses_never_truncated BEFORE TRUNCATE ON magnet.access_log
    FOR EACH STATEMENT EXECUTE FUNCTION magnet.refuse_change_of_accesses();
