-- name: claim
INSERT INTO magnet.installation (key_fingerprint) VALUES (%(fingerprint)s) ON CONFLICT DO NOTHING

-- name: fingerprint
SELECT key_fingerprint, id FROM magnet.installation
