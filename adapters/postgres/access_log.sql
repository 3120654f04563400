-- name: note
INSERT INTO magnet.access_log (actor_type, actor_id, actor_name, credential, address, method, path, query,
    outcome, status, code, attempts, request_id)
VALUES (%(actor_type)s, %(actor_id)s, %(actor_name)s, %(credential)s, %(address)s, %(method)s, %(path)s, %(query)s,
    %(outcome)s, %(status)s, %(code)s, %(attempts)s, %(request_id)s)

-- name: page  -- the accesses that were chosen, the newest first
WITH bounds AS MATERIALIZED (
    -- Ids grow as times do, but for rows written at once and clocks that were put right: an hour is more than that.
    SELECT greatest(%(above)s::bigint, (SELECT a.id FROM magnet.access_log a
            WHERE a.at < %(since)s::timestamptz - interval '1 hour' ORDER BY a.at DESC LIMIT 1)) AS low,
        least(%(before)s::bigint, coalesce((SELECT a.id FROM magnet.access_log a
            WHERE a.at > %(until)s::timestamptz + interval '1 hour' ORDER BY a.at LIMIT 1), %(before)s::bigint)) AS high
),
chosen AS MATERIALIZED ({chosen})
SELECT a.id, a.at, a.actor_type, a.actor_id, a.actor_name, a.address, a.method, a.path, a.query, a.outcome, a.status,
    a.code, a.attempts, a.request_id
FROM chosen c JOIN magnet.access_log a USING (id) ORDER BY a.id DESC LIMIT %(limit)s

-- name: fits
(%(outcome)s::text IS NULL OR a.outcome = %(outcome)s::text)
    AND (%(since)s::timestamptz IS NULL OR a.at >= %(since)s::timestamptz)
    AND (%(until)s::timestamptz IS NULL OR a.at < %(until)s::timestamptz)

-- name: by_id  -- nothing else leads to them
SELECT a.id FROM magnet.access_log a
WHERE a.id > (SELECT low FROM bounds) AND a.id < (SELECT high FROM bounds) AND {fits}
ORDER BY a.id DESC LIMIT %(limit)s

-- Below, rows are compared and not their first fields only: so PostgreSQL can do nothing but go along the one index.

-- name: by_outcome
SELECT a.id FROM magnet.access_log a
WHERE (a.outcome, a.id) > (%(outcome)s::text, (SELECT low FROM bounds))
    AND (a.outcome, a.id) < (%(outcome)s::text, (SELECT high FROM bounds))
    AND a.outcome <> 'allowed' AND {fits}
ORDER BY a.outcome DESC, a.id DESC LIMIT %(limit)s

-- name: by_actor  -- by name, and by an id that is another than the name
(SELECT a.id FROM magnet.access_log a
WHERE (a.actor_name, a.id) > (%(actor)s::text, (SELECT low FROM bounds))
    AND (a.actor_name, a.id) < (%(actor)s::text, (SELECT high FROM bounds)) AND {fits}
ORDER BY a.actor_name DESC, a.id DESC LIMIT %(limit)s)
UNION
(SELECT a.id FROM magnet.access_log a
WHERE (a.actor_id, a.id) > (%(actor)s::text, (SELECT low FROM bounds))
    AND (a.actor_id, a.id) < (%(actor)s::text, (SELECT high FROM bounds)) AND a.actor_id <> a.actor_name AND {fits}
ORDER BY a.actor_id DESC, a.id DESC LIMIT %(limit)s)
