-- What is in another vector store: noted before it is put there, and forgotten after it is removed from there.
-- `ordinals` are those of a place's chunks whose vectors surely arrived; `cut` is how the id of its chunking begins.
CREATE TABLE magnet.stored_places (
    store text NOT NULL,
    space text NOT NULL,
    place bigint NOT NULL,
    dimensions integer NOT NULL,
    cut bytea NOT NULL,
    passages integer NOT NULL,
    ordinals integer[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (store, place)
);

-- The stores that were ever filled. Another `filling` begins where one is to be made anew: whatever was noted of the
-- former one (as `store#filling`) no longer counts, and is removed.
CREATE TABLE magnet.vector_stores (
    store text PRIMARY KEY,
    filling integer NOT NULL DEFAULT 1
);
