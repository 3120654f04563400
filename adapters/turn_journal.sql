-- name: write  -- a batch; its loss in a crash costs a stream some pieces, never the log anything. A turn
-- that went on after a pause has a stream for each run that it is: the column has the run's id
INSERT INTO magnet.turn_events (turn, first, last, sealed)
SELECT (v ->> 'run')::uuid, (v ->> 'first')::integer, (v ->> 'last')::integer, v ->> 'sealed'
FROM jsonb_array_elements(%(rows)s::jsonb) AS v ON CONFLICT DO NOTHING

-- name: lazily
SELECT set_config('synchronous_commit', 'off', true)

-- name: tell
SELECT pg_notify('magnet_turns', message) FROM unnest(%(messages)s::text[]) AS message

-- name: read
SELECT sealed FROM magnet.turn_events WHERE turn = %(run)s AND last > %(after)s ORDER BY first

-- name: clean
DELETE FROM magnet.turn_events WHERE made_at < clock_timestamp() - interval '1 hour'
