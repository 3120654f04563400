-- name: of_subjects  -- the keys of subjects, destroyed ones too
SELECT subject_mac, key_id, wrapped_key, destroyed_at IS NOT NULL
FROM magnet.data_keys WHERE subject_mac = ANY(%(macs)s)

-- name: of_keys  -- the same by the keys' ids
SELECT subject_mac, key_id, wrapped_key, destroyed_at IS NOT NULL
FROM magnet.data_keys WHERE key_id = ANY(%(ids)s)

-- name: make_or_find  -- whoever comes first has made a subject's key; what was made meanwhile is not found, and looked for again. `new` in the order of subject_mac, so that two don't block each other
WITH made AS (
    INSERT INTO magnet.data_keys (subject_mac, key_id, wrapped_key)
    SELECT new.subject_mac, new.key_id, new.wrapped_key
    FROM unnest(%(new)s::bytea[], %(ids)s::uuid[], %(wrapped)s::bytea[]) AS new (subject_mac, key_id, wrapped_key)
    ON CONFLICT DO NOTHING
    RETURNING subject_mac, key_id, wrapped_key
)
SELECT subject_mac, key_id, wrapped_key, false FROM made
UNION ALL
SELECT subject_mac, key_id, wrapped_key, destroyed_at IS NOT NULL
FROM magnet.data_keys WHERE subject_mac = ANY(%(macs)s)

-- name: destroy  -- for good; other processes are told
WITH destroyed AS (
    UPDATE magnet.data_keys SET wrapped_key = NULL, destroyed_at = clock_timestamp()
    WHERE subject_mac = %(mac)s AND destroyed_at IS NULL
    RETURNING key_id
)
SELECT key_id, pg_notify('magnet_data_keys', key_id::text) FROM destroyed
