-- What a chat model made of a chunk, under the hash of all that it was asked with; and what that cost which source.
CREATE TABLE magnet.transformations (
    id bytea PRIMARY KEY,
    source uuid NOT NULL,
    text text NOT NULL,
    amount numeric NOT NULL,
    currency text,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX transformations_cost ON magnet.transformations (source, made_at);
