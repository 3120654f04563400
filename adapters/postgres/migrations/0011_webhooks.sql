-- How far each webhook has been sent the log, and what could not be sent.

-- Everything up to `position` was sent, not wanted, or set aside. `generation` goes up when somebody moves
-- the position by hand: who is just sending then notices.
CREATE TABLE magnet.webhook_feeds (
    webhook uuid PRIMARY KEY,
    position bigint NOT NULL,
    generation bigint NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    retry_at timestamptz,
    delivered bigint NOT NULL DEFAULT 0,
    last_delivered_at timestamptz,
    last_status integer,
    last_error text
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

-- An event that was tried often enough; what came after it was sent all the same.
CREATE TABLE magnet.webhook_dead_letters (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    webhook uuid NOT NULL,
    position bigint NOT NULL,
    stream uuid NOT NULL,
    error text NOT NULL,
    attempts integer NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    requeue_requested boolean NOT NULL DEFAULT false,
    UNIQUE (webhook, position)
);
