-- name: save_snapshot
INSERT INTO magnet.magnet_snapshots (originator_id, originator_version, topic, state)
VALUES (%(id)s, %(version)s, %(topic)s, %(state)s) ON CONFLICT DO NOTHING
