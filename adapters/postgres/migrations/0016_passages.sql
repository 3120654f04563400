-- What a chunk says can be another text than what it is found by.
--   tokens      its size as it was counted; null: an estimate, a quarter of its bytes
--   searched    what is embedded and searched by words instead of its text; empty: nothing; null: its text
--   parent      the ordinal of the chunk whose text is given instead of its own
--   cut_sha256  of the text as it was cut, where text_sha256 is of another one; text_sha256 is of what is embedded
ALTER TABLE magnet.chunks ADD COLUMN tokens integer, ADD COLUMN searched text, ADD COLUMN parent integer,
    ADD COLUMN cut_sha256 bytea;
