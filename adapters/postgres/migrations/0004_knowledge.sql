-- What documents consist of, beside the log: bytes, texts, chunks and vectors, each under the hash of what
-- it was made from. Nothing here changes once written, so a replay reads it again and pays no provider.
CREATE EXTENSION IF NOT EXISTS vector;

-- The bytes that a source gave, under their SHA-256: the same content twice is one.
CREATE TABLE magnet.contents (
    sha256 bytea PRIMARY KEY,
    size bigint NOT NULL,
    content bytea NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The text that a parser (its name and version) made of a content; pages and headings by character offset.
CREATE TABLE magnet.parsings (
    content_sha256 bytea NOT NULL,
    parser text NOT NULL,
    text text NOT NULL,
    outline jsonb NOT NULL,
    language text,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (content_sha256, parser)
);

-- One way of cutting one text: its id is the hash of content, parser and settings.
CREATE TABLE magnet.chunkings (
    id bytea PRIMARY KEY,
    content_sha256 bytea NOT NULL,
    parser text NOT NULL,
    settings jsonb NOT NULL,
    chunks integer NOT NULL,
    language text,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE magnet.chunks (
    chunking bytea NOT NULL,
    ordinal integer NOT NULL,
    text text NOT NULL,
    text_sha256 bytea NOT NULL,
    start_at integer NOT NULL,
    end_at integer NOT NULL,
    page integer,
    heading text,
    PRIMARY KEY (chunking, ordinal)
);

-- Which documents a source has ever had, written with the events that made them: what a new index is made of.
CREATE TABLE magnet.source_documents (
    source uuid NOT NULL,
    document uuid NOT NULL,
    PRIMARY KEY (source, document)
);

-- What one upload gave, so that its progress can be asked for; kept for a month.
CREATE TABLE magnet.uploads (
    id uuid PRIMARY KEY,
    source uuid NOT NULL,
    documents uuid[] NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX uploads_age ON magnet.uploads (made_at);

-- How long the vectors of a space are: the first ones decide, others are refused.
CREATE TABLE magnet.spaces (
    name text PRIMARY KEY,
    dimensions integer NOT NULL
);

-- Vectors by the space they live in and the text they stand for. The extension may live in any schema.
DO $$
BEGIN
    EXECUTE format('CREATE TABLE magnet.embeddings (space text NOT NULL, text_sha256 bytea NOT NULL,
        embedding %I.halfvec NOT NULL, PRIMARY KEY (space, text_sha256))',
        (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
            WHERE e.extname = 'vector'));
END $$;
