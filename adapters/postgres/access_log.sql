-- name: note
INSERT INTO magnet.access_log (actor_type, actor_id, actor_name, credential, address, method, path, query,
    outcome, status, code, attempts, request_id)
VALUES (%(actor_type)s, %(actor_id)s, %(actor_name)s, %(credential)s, %(address)s, %(method)s, %(path)s, %(query)s,
    %(outcome)s, %(status)s, %(code)s, %(attempts)s, %(request_id)s)

-- name: page  -- the newest first; null = not asked for
SELECT id, at, actor_type, actor_id, actor_name, address, method, path, query, outcome, status, code, attempts,
    request_id
FROM magnet.access_log
WHERE id < %(before)s
    AND (%(actor)s::text IS NULL OR actor_name = %(actor)s::text OR actor_id = %(actor)s::text)
    AND (%(outcome)s::text IS NULL OR outcome = %(outcome)s::text)
    AND (%(since)s::timestamptz IS NULL OR at >= %(since)s::timestamptz)
    AND (%(until)s::timestamptz IS NULL OR at < %(until)s::timestamptz)
ORDER BY id DESC LIMIT %(limit)s
