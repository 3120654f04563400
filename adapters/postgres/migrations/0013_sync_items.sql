-- What sources listed when they were synced, and what was taken of it: so that a sync goes on where it was, and
-- knows what is gone. `version` and `sha256` are of what was taken last; `listed_by` is the sync that listed it
-- last, with which version; `outcome` is what that sync did with it.
CREATE TABLE magnet.sync_items (
    source uuid NOT NULL,
    document uuid NOT NULL,
    external_id text NOT NULL,
    version text,
    sha256 text,
    listed_by uuid NOT NULL,
    listed_version text NOT NULL,
    outcome text,
    PRIMARY KEY (source, document)
);
CREATE INDEX sync_items_waiting ON magnet.sync_items (source, document) WHERE outcome IS NULL;
