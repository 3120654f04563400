-- name: ids
SELECT id FROM configurations_v1.things
WHERE kind = 'knowledge_source' AND document::json ->> 'schedule' IS NOT NULL

-- name: reach  -- up to which position of the log they are known, and the position of its last event
SELECT coalesce((SELECT t.position FROM magnet_read.tracking t WHERE t.projection = 'configurations_v1'), 0),
    (SELECT coalesce(max(e.notification_id), 0) FROM magnet.magnet_events e)
