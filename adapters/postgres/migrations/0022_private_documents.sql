-- What is made of the files of conversations: where their passages stand, and their vectors, sealed with the data key that
-- seals what is said there. `failure` is a code: what a provider said may quote the file.
CREATE TABLE magnet.private_documents (
    document uuid PRIMARY KEY,
    conversation uuid NOT NULL,
    key_id uuid NOT NULL,
    space text,
    passages integer NOT NULL,
    failure text,
    sealed text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX private_documents_conversation ON magnet.private_documents (conversation);
CREATE INDEX private_documents_key ON magnet.private_documents (key_id);
