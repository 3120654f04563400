-- The reference consumer's own tables: what it has taken, and what it made of it, in one transaction.
CREATE TABLE magnet.inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, event_id)
);

-- How often each type of event was taken: an effect that shows when an event is taken twice.
CREATE TABLE magnet.consumed (
    consumer text NOT NULL,
    type text NOT NULL,
    events bigint NOT NULL,
    last_position bigint NOT NULL,
    PRIMARY KEY (consumer, type)
);

-- Messages that are none of ours, with the reason why they were not taken.
CREATE TABLE magnet.foreign_messages (
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    message_offset bigint NOT NULL,
    reason text NOT NULL,
    message_key bytea,
    message_value bytea,
    set_aside_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, topic, partition, message_offset)
);
