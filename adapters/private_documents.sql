-- name: standing
SELECT d.document, d.space, d.passages, d.failure FROM magnet.private_documents d WHERE d.conversation = %(conversation)s

-- name: read
SELECT d.document, d.space, d.passages, d.failure, d.sealed FROM magnet.private_documents d
WHERE d.conversation = %(conversation)s

-- name: keep  -- of who is erased at this moment nothing comes to stand here for long: no key opens it
INSERT INTO magnet.private_documents AS d (document, conversation, key_id, space, passages, failure, sealed)
VALUES (%(document)s, %(conversation)s, %(key)s, %(space)s, %(passages)s, %(failure)s, %(sealed)s)
ON CONFLICT (document) DO UPDATE SET key_id = excluded.key_id, space = excluded.space, passages = excluded.passages,
    failure = excluded.failure, sealed = excluded.sealed, made_at = excluded.made_at
WHERE d.conversation = excluded.conversation

-- name: remove
DELETE FROM magnet.private_documents WHERE conversation = %(conversation)s

-- name: remove_erased
DELETE FROM magnet.private_documents d USING magnet.data_keys k WHERE k.key_id = d.key_id AND k.destroyed_at IS NOT NULL
