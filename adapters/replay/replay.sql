-- name: same_place  -- which installation a database is
SELECT id FROM magnet.installation

-- name: key
SELECT key_fingerprint FROM magnet.installation

-- name: claim
INSERT INTO magnet.installation (key_fingerprint) VALUES (%(fingerprint)s) ON CONFLICT DO NOTHING

-- name: head
SELECT coalesce(max(notification_id), 0) FROM magnet.magnet_events

-- name: position_at
SELECT magnet.position_before(%(until)s::timestamptz)

-- name: hash_at
SELECT hash FROM magnet.magnet_events WHERE notification_id = %(position)s

-- name: columns  -- in their order, but for those that PostgreSQL makes itself
SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
WHERE a.attrelid = format('magnet.%%I', %(table)s::text)::regclass AND a.attnum > 0 AND NOT a.attisdropped
    AND a.attgenerated = ''

-- name: events_out
COPY (SELECT {columns} FROM magnet.magnet_events WHERE notification_id > {after} AND notification_id <= {upto}
    ORDER BY notification_id) TO STDOUT (FORMAT binary)

-- name: rows_out
COPY (SELECT {columns} FROM magnet.{table}) TO STDOUT (FORMAT binary)

-- name: rows_in
COPY magnet.{table} ({columns}) FROM STDIN (FORMAT binary)

-- name: clear
DELETE FROM magnet.{table}

-- name: later_documents  -- documents that the second log does not know yet
DELETE FROM magnet.source_documents d
WHERE NOT EXISTS (SELECT FROM magnet.magnet_events e WHERE e.originator_id = d.document)

-- name: later_secrets  -- of things that the second log does not know; and those that webhooks would be sent with
DELETE FROM magnet.secrets s WHERE NOT EXISTS (SELECT FROM magnet.magnet_events e
    WHERE e.originator_id = s.owner_id AND e.topic <> 'webhook.created' AND e.originator_version = 1)

-- name: later_credentials
DELETE FROM magnet.credentials c
WHERE NOT EXISTS (SELECT FROM magnet.magnet_events e WHERE e.originator_id = c.key_id)

-- name: things
SELECT e.originator_id FROM magnet.magnet_events e
WHERE e.originator_version = 1 AND e.topic = ANY (%(topics)s) ORDER BY e.notification_id

-- name: write_uses
INSERT INTO magnet.usages (owner_id, owner_kind, owner_name, path, target_id)
SELECT u.owner, u.kind, u.name, u.path, u.target
FROM jsonb_to_recordset(%(rows)s::jsonb) AS u (owner uuid, kind text, name text, path text, target uuid)

-- name: write_archived
INSERT INTO magnet.archived (thing_id) SELECT unnest(%(ids)s::uuid[])
