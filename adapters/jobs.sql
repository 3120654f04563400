-- name: ask
INSERT INTO magnet.jobs AS j (kind, key)
SELECT %(kind)s, k.key FROM unnest(%(keys)s) AS k (key) ORDER BY k.key
ON CONFLICT (kind, key) DO UPDATE SET generation = j.generation + 1,
    run_at = least(j.run_at, excluded.run_at), attempts = 0, last_error = NULL

-- name: tell
SELECT pg_notify('magnet_jobs', %(kind)s)

-- name: take  -- a job that is taken is due again when its lease runs out, which is where the next look finds it
WITH due AS (
    SELECT j.id FROM magnet.jobs j
    WHERE j.kind = %(kind)s AND j.run_at <= clock_timestamp()
        AND (j.leased_until IS NULL OR j.leased_until <= clock_timestamp()) AND j.id <> ALL (%(held)s)
    ORDER BY j.run_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE magnet.jobs j SET owner = %(owner)s, attempts = j.attempts + 1, leased_until = t.until, run_at = t.until
FROM due, (SELECT clock_timestamp() + %(seconds)s::float8 * interval '1 second' AS until) AS t
WHERE j.id = due.id
RETURNING j.id, j.key, j.payload, j.generation, j.attempts

-- name: due  -- of each kind that has jobs: the seconds until one is due, at most 0 where one is
SELECT k.kind, extract(epoch FROM d.run_at - clock_timestamp())::float8
FROM unnest(%(kinds)s) AS k (kind)
CROSS JOIN LATERAL (SELECT j.run_at FROM magnet.jobs j WHERE j.kind = k.kind ORDER BY j.run_at LIMIT 1) AS d

-- name: renew  -- in the order in which all lock them: else one of two that meet is refused as a deadlock
WITH mine AS (
    SELECT j.id FROM magnet.jobs j WHERE j.id = ANY (%(ids)s) AND j.owner = %(owner)s ORDER BY j.key FOR UPDATE
)
UPDATE magnet.jobs j SET leased_until = t.until, run_at = t.until
FROM mine, (SELECT clock_timestamp() + %(seconds)s::float8 * interval '1 second' AS until) AS t
WHERE j.id = mine.id

-- name: unchanged
SELECT 1 FROM magnet.jobs WHERE id = %(id)s AND generation = %(generation)s

-- name: finish  -- what was asked for again meanwhile stays, and is due at once
WITH ended AS (
    SELECT j.id, j.generation = v.generation AS same
    FROM magnet.jobs j JOIN unnest(%(ids)s, %(generations)s) AS v (id, generation) ON v.id = j.id
    WHERE j.owner = %(owner)s ORDER BY j.key FOR UPDATE OF j
), gone AS (
    DELETE FROM magnet.jobs j USING ended e WHERE j.id = e.id AND e.same
)
UPDATE magnet.jobs j SET owner = NULL, leased_until = NULL, run_at = clock_timestamp()
FROM ended e WHERE j.id = e.id AND NOT e.same

-- name: later  -- what was asked for again meanwhile is due at once, with its new payload
WITH ended AS (
    SELECT j.id, j.generation = v.generation AS same, v.delay, v.attempts, v.payload, v.error
    FROM magnet.jobs j
    JOIN unnest(%(ids)s, %(generations)s, %(delays)s, %(attempts)s, %(payloads)s, %(errors)s)
        AS v (id, generation, delay, attempts, payload, error) ON v.id = j.id
    WHERE j.owner = %(owner)s ORDER BY j.key FOR UPDATE OF j
)
UPDATE magnet.jobs j SET owner = NULL, leased_until = NULL,
    run_at = clock_timestamp() + CASE WHEN e.same THEN e.delay / 1000.0 ELSE 0 END * interval '1 second',
    attempts = CASE WHEN e.same THEN e.attempts ELSE 0 END,
    payload = CASE WHEN e.same THEN e.payload ELSE j.payload END,
    last_error = CASE WHEN e.same THEN e.error END
FROM ended e WHERE j.id = e.id

-- name: waiting
SELECT key, attempts, last_error, owner IS NOT NULL FROM magnet.jobs WHERE kind = %(kind)s AND key = ANY (%(keys)s)

-- name: depth  -- of each kind: how many there are, and how many seconds the oldest is overdue
SELECT kind, count(*), extract(epoch FROM greatest(interval '0', clock_timestamp() - min(run_at)))::float8
FROM magnet.jobs GROUP BY kind ORDER BY kind
