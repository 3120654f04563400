-- name: versions  -- the newest version of each of these streams; null where there is none
SELECT s.id, (
    SELECT originator_version FROM magnet.magnet_events
    WHERE originator_id = s.id ORDER BY originator_version DESC LIMIT 1)
FROM unnest(%(ids)s::uuid[]) AS s (id)

-- name: secrets  -- a provider's sealed secrets
SELECT field, sealed FROM magnet.secrets WHERE owner_id = %(id)s
