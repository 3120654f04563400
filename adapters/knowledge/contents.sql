-- name: missing_contents
SELECT h.sha256 FROM unnest(%(hashes)s) AS h (sha256)
WHERE NOT EXISTS (SELECT FROM magnet.contents c WHERE c.sha256 = h.sha256)

-- name: keep_contents
INSERT INTO magnet.contents (sha256, size, content)
SELECT v.sha256, length(v.content), v.content FROM unnest(%(hashes)s, %(contents)s) AS v (sha256, content)
ON CONFLICT (sha256) DO NOTHING

-- name: contents
SELECT sha256, content FROM magnet.contents WHERE sha256 = ANY (%(hashes)s)
