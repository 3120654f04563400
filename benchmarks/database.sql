-- name: create
CREATE DATABASE {name}

-- name: give_memory  -- else a large index of vectors takes its time, which is not what is measured
ALTER DATABASE {name} SET maintenance_work_mem = '1GB'

-- name: analyze
VACUUM ANALYZE

-- name: checkpoint
CHECKPOINT

-- name: make_plain  -- what an insert costs at least: the same key, the same payload
CREATE TABLE plain_events (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (originator_id, originator_version)
)

-- name: insert_plain
INSERT INTO plain_events (originator_id, originator_version, topic, state)
VALUES (%(id)s, 1, %(topic)s, %(state)s)

-- name: drop_filters  -- the indexes that only the filters of the log need
DROP INDEX magnet.magnet_events_topic, magnet.magnet_events_actor_name, magnet.magnet_events_actor_id,
    magnet.magnet_events_reason
