-- name: completed  -- syncs
SELECT count(*) FROM syncs_v1.syncs WHERE state = 'completed'

-- name: recorded  -- events of documents, and calls of models
SELECT (SELECT count(*) FROM magnet.magnet_events WHERE topic LIKE 'document.%'), (SELECT count(*) FROM runs_v1.calls)
