-- name: find
SELECT mac, name, roles, groups, requests_per_minute, expires_at, revoked
FROM magnet.credentials WHERE key_id = %(id)s

-- name: any_exist
SELECT EXISTS (SELECT FROM magnet.credentials)

-- name: note_use
INSERT INTO magnet.credential_uses AS u (key_id, last_used_at) VALUES (%(id)s, clock_timestamp())
ON CONFLICT (key_id) DO UPDATE SET last_used_at = excluded.last_used_at
WHERE u.last_used_at < clock_timestamp() - interval '50 seconds'

-- name: last_uses
SELECT key_id, last_used_at FROM magnet.credential_uses WHERE key_id = ANY (%(ids)s)
