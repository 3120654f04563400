-- name: create  -- in the projection's own schema, which the search path names
CREATE TABLE sources (
    id uuid PRIMARY KEY,
    answering integer,
    archived boolean NOT NULL,
    language text,
    -- null: everyone; empty: admins only
    acl text[],
    mapping text NOT NULL
);

CREATE TABLE shelves (
    id bigint PRIMARY KEY,
    source uuid NOT NULL,
    index integer NOT NULL,
    space text,
    model uuid,
    passages bigint NOT NULL DEFAULT 0,
    UNIQUE (source, index)
);

-- In which configurations a shelf's words may be; one that is no longer used may stay.
CREATE TABLE shelf_configs (
    shelf bigint NOT NULL,
    config text NOT NULL,
    PRIMARY KEY (shelf, config)
);

CREATE TABLE spaces (
    name text PRIMARY KEY,
    dimensions integer NOT NULL
);

CREATE TABLE documents (
    id uuid PRIMARY KEY,
    source uuid NOT NULL,
    external_id text NOT NULL,
    number integer NOT NULL,
    title text NOT NULL,
    url text,
    metadata text NOT NULL,
    acl text[],
    acls text NOT NULL,
    fields text NOT NULL,
    types text NOT NULL,
    removed boolean NOT NULL
);
CREATE INDEX ON documents (source, id);

-- How many documents of a source have a field in a type.
CREATE TABLE metadata_fields (
    source uuid NOT NULL,
    field text NOT NULL,
    type text NOT NULL,
    documents bigint NOT NULL,
    PRIMARY KEY (source, field, type)
);

-- A document's version on a shelf. Who may find it and what it is filtered by stand here once, not with
-- each passage: a change of them touches no vector. text_acl is the version's own access: a later
-- version's wider access doesn't open an earlier text.
CREATE TABLE places (
    id bigint PRIMARY KEY,
    shelf bigint NOT NULL,
    document uuid NOT NULL,
    version integer NOT NULL,
    chunking bytea NOT NULL,
    passages integer NOT NULL,
    config text NOT NULL,
    title text NOT NULL,
    acl text[],
    text_acl text[],
    fields jsonb NOT NULL,
    UNIQUE (document, shelf)
) WITH (autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX ON places (shelf);
-- A sample of 1 in 128, by which a search judges how many documents a filter leaves.
CREATE INDEX ON places (shelf) WHERE hashint8(id) & 127 = 0;
CREATE INDEX ON places USING gin (fields jsonb_path_ops);

CREATE TABLE passages (
    id uuid PRIMARY KEY,
    place bigint NOT NULL,
    shelf bigint NOT NULL,
    ordinal integer NOT NULL,
    start_at integer NOT NULL,
    end_at integer NOT NULL,
    page integer,
    heading text,
    text text NOT NULL,
    words tsvector NOT NULL
-- Most passages stay uncompressed: to be ranked, words would be decompressed for each search.
) WITH (toast_tuple_target = 4080, autovacuum_vacuum_scale_factor = 0.1, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX ON passages (place, ordinal);
CREATE INDEX ON passages USING gin (words);

-- Languages as people and detectors write them, and PostgreSQL's configurations for them.
CREATE TABLE languages (
    language text PRIMARY KEY,
    config text NOT NULL
);
INSERT INTO languages (language, config)
SELECT c.cfgname, c.cfgname FROM pg_ts_config c WHERE c.cfgnamespace = 'pg_catalog'::regnamespace
UNION ALL
SELECT codes.code, codes.config FROM (VALUES
    ('ar', 'arabic'), ('hy', 'armenian'), ('eu', 'basque'), ('ca', 'catalan'), ('da', 'danish'),
    ('nl', 'dutch'), ('en', 'english'), ('et', 'estonian'), ('fi', 'finnish'), ('fr', 'french'),
    ('de', 'german'), ('el', 'greek'), ('hi', 'hindi'), ('hu', 'hungarian'), ('id', 'indonesian'),
    ('ga', 'irish'), ('it', 'italian'), ('lt', 'lithuanian'), ('ne', 'nepali'), ('no', 'norwegian'),
    ('nb', 'norwegian'), ('nn', 'norwegian'), ('pt', 'portuguese'), ('ro', 'romanian'),
    ('ru', 'russian'), ('sr', 'serbian'), ('es', 'spanish'), ('sv', 'swedish'), ('ta', 'tamil'),
    ('tr', 'turkish'), ('yi', 'yiddish')) AS codes (code, config)
JOIN pg_ts_config c ON c.cfgname = codes.config AND c.cfgnamespace = 'pg_catalog'::regnamespace;

-- name: is_late  -- whether what came after the first release is there
SELECT to_regclass('passage_edits') IS NOT NULL

-- name: late  -- what came after the first release: in a schema that was made before, too
ALTER TABLE passages
    -- What is searched instead of the text: empty, nothing; null, the text.
    ADD COLUMN searched text,
    -- The passage that is given instead of this one.
    ADD COLUMN parent uuid,
    -- What a person changed of it.
    ADD COLUMN edit uuid,
    -- True, or null.
    ADD COLUMN disabled boolean;
CREATE INDEX ON passages (parent) WHERE parent IS NOT NULL;

-- What people changed of passages; the passage is named by the text that was cut (its SHA-256) and where it stood.
CREATE TABLE passage_edits (
    id uuid PRIMARY KEY,
    document uuid NOT NULL,
    position bigint NOT NULL,
    start_at integer NOT NULL,
    end_at integer NOT NULL,
    sha256 text NOT NULL,
    -- The SHA-256 of what is said instead; null: what was cut.
    text text,
    disabled boolean NOT NULL
);
CREATE INDEX ON passage_edits (document);

-- Documents that are one passage which a person wrote.
CREATE TABLE written (document uuid PRIMARY KEY);

-- Shelves on which passages are found that are given as part of others.
CREATE TABLE parted (shelf bigint PRIMARY KEY);

-- name: held  -- spaces whose large table is searched by another store, which has all of it; in any schema, too
CREATE TABLE IF NOT EXISTS held (space text PRIMARY KEY, store text NOT NULL)

-- name: has_space
SELECT dimensions FROM spaces WHERE name = %(space)s

-- name: add_space
INSERT INTO spaces (name, dimensions) VALUES (%(space)s, %(dimensions)s)

-- name: vector_schema  -- where the extension lives: not everywhere in public
SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'

-- name: create_space  -- new vectors go into fresh, which is searched exactly; upkeep moves them to main
CREATE TABLE {fresh} (
    place bigint NOT NULL,
    shelf bigint NOT NULL,
    id uuid NOT NULL,
    embedding {vectors}.halfvec({dimensions}) NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX ON {fresh} (place);
CREATE TABLE {main} (LIKE {fresh}) WITH (autovacuum_vacuum_scale_factor = 0.1, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX ON {main} (place)

-- name: keep_inline  -- else a long vector is stored out of line, and every comparison fetches it
ALTER TABLE {fresh} ALTER COLUMN embedding SET STORAGE PLAIN;
ALTER TABLE {main} ALTER COLUMN embedding SET STORAGE PLAIN
