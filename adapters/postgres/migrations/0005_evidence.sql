-- Evidence that the log is what it was: roots of whole subtrees of its Merkle tree, and signed checkpoints.
-- They save work; what proves something is a checkpoint that is kept elsewhere.

-- level 8 stands for 256 events, 16 for 65,536, and so on; index counts subtrees of a level from 0.
CREATE TABLE magnet.tree_nodes (
    level smallint NOT NULL,
    index bigint NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (level, index)
);

-- note is the signed text; size is how many events it vouches for.
CREATE TABLE magnet.checkpoints (
    size bigint PRIMARY KEY,
    root bytea NOT NULL,
    note text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
