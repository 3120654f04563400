-- Where each projection stands, who may move it, and which streams it has set aside.

CREATE SCHEMA magnet_read;

CREATE TABLE magnet_read.tracking (
    projection text PRIMARY KEY,
    position bigint NOT NULL DEFAULT 0,
    -- Goes up with each new owner: an owner that lost its lock can't move the position any more.
    fence bigint NOT NULL DEFAULT 0,
    rebuild_requested boolean NOT NULL DEFAULT false,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

-- A stream whose event at first_position a projection could not take, and all that came after it.
CREATE TABLE magnet_read.quarantine (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    projection text NOT NULL,
    stream uuid NOT NULL,
    first_position bigint NOT NULL,
    error text NOT NULL,
    attempts integer NOT NULL DEFAULT 1,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    requeue_requested boolean NOT NULL DEFAULT false,
    UNIQUE (projection, stream)
);

CREATE INDEX magnet_events_recorded ON magnet.magnet_events USING brin (recorded_at);
