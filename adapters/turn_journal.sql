-- name: write  -- a batch, and tell of it, in one statement and so without waiting for the disk: its loss in a crash costs
-- a stream some pieces, never the log anything. A turn that went on after a pause has a stream for each run that it is: the
-- column has the run's id
WITH soon AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
pieces AS (SELECT v FROM soon, jsonb_array_elements(%(rows)s::jsonb) AS v),
written AS (
    INSERT INTO magnet.turn_events (turn, first, last, sealed)
    SELECT (v ->> 'run')::uuid, (v ->> 'first')::integer, (v ->> 'last')::integer, v ->> 'sealed'
    FROM pieces ON CONFLICT DO NOTHING
)
SELECT pg_notify('magnet_turns', run) FROM (SELECT DISTINCT v ->> 'run' AS run FROM pieces ORDER BY run) AS runs

-- name: tell
SELECT pg_notify('magnet_turns', message) FROM unnest(%(messages)s::text[]) AS message

-- name: read
SELECT sealed FROM magnet.turn_events WHERE turn = %(run)s AND last > %(after)s ORDER BY first

-- name: clean
DELETE FROM magnet.turn_events WHERE made_at < clock_timestamp() - interval '1 hour'
