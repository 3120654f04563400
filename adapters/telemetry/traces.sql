-- name: traces  -- of the requests that began runs
SELECT originator_id, trace_id FROM magnet.magnet_events
WHERE originator_id = ANY (%(runs)s) AND originator_version = 1
