-- name: secrets  -- a provider's sealed secrets
SELECT field, sealed FROM magnet.secrets WHERE owner_id = %(id)s
