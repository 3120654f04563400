-- Where a read model stands that is fed from Kafka: one row for each partition, moved with its rows.
-- next_offset is the first message that has not been taken, position that of the last event taken.
CREATE TABLE magnet_read.partitions (
    schema text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL DEFAULT 0,
    position bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (schema, topic, partition)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
