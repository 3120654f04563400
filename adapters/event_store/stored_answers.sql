-- name: remove  -- an answer stands at the position of the event that began its run
DELETE FROM magnet.idempotency i USING magnet.magnet_events e
WHERE e.notification_id = i.position AND e.topic = 'run.started'
    AND convert_from(e.state, 'UTF8')::jsonb ->> 'subject' = %(subject)s
