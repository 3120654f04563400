-- name: known  -- every webhook there ever was, with the position it began at
SELECT originator_id, notification_id FROM magnet.magnet_events
WHERE topic COLLATE "C" = 'webhook.created' AND originator_version = 1 ORDER BY notification_id

-- name: begin  -- a new webhook is sent what comes after it was made
INSERT INTO magnet.webhook_feeds (webhook, position) VALUES (%(webhook)s, %(position)s) ON CONFLICT DO NOTHING

-- name: feed
SELECT position, generation, attempts, retry_at FROM magnet.webhook_feeds WHERE webhook = %(webhook)s

-- name: reached  -- no row: somebody has moved it by hand, or another process has taken over
UPDATE magnet.webhook_feeds SET position = %(position)s, attempts = 0, retry_at = NULL,
    delivered = delivered + %(delivered)s,
    last_delivered_at = CASE WHEN %(delivered)s > 0 THEN clock_timestamp() ELSE last_delivered_at END,
    last_status = CASE WHEN %(delivered)s > 0 THEN %(status)s::integer ELSE last_status END,
    last_error = CASE WHEN %(delivered)s > 0 THEN NULL ELSE last_error END
WHERE webhook = %(webhook)s AND generation = %(generation)s
    AND EXISTS (SELECT FROM magnet_read.tracking t WHERE t.projection = %(owner)s AND t.fence = %(fence)s)

-- name: failed
UPDATE magnet.webhook_feeds SET attempts = %(attempts)s, last_status = %(status)s, last_error = %(error)s,
    retry_at = clock_timestamp() + %(pause)s * interval '1 second'
WHERE webhook = %(webhook)s AND generation = %(generation)s
    AND EXISTS (SELECT FROM magnet_read.tracking t WHERE t.projection = %(owner)s AND t.fence = %(fence)s)

-- name: mute  -- nothing can be signed, so nothing is sent
UPDATE magnet.webhook_feeds SET last_error = %(error)s WHERE webhook = %(webhook)s

-- name: set_aside
INSERT INTO magnet.webhook_dead_letters (webhook, position, stream, error, attempts)
VALUES (%(webhook)s, %(position)s, %(stream)s, %(error)s, %(attempts)s)
ON CONFLICT (webhook, position) DO UPDATE SET error = excluded.error, parked_at = clock_timestamp(),
    attempts = magnet.webhook_dead_letters.attempts + excluded.attempts, requeue_requested = false

-- name: asked_for  -- what is to be tried once more
SELECT id, position FROM magnet.webhook_dead_letters
WHERE webhook = %(webhook)s AND requeue_requested ORDER BY position LIMIT 100

-- name: settled
DELETE FROM magnet.webhook_dead_letters WHERE id = %(id)s

-- name: failed_again
UPDATE magnet.webhook_dead_letters SET requeue_requested = false, attempts = attempts + 1, error = %(error)s
WHERE id = %(id)s

-- name: status
SELECT f.position, f.attempts, f.retry_at, f.delivered, f.last_delivered_at, f.last_status, f.last_error,
    (SELECT count(*) FROM magnet.webhook_dead_letters d WHERE d.webhook = f.webhook)
FROM magnet.webhook_feeds f WHERE f.webhook = %(webhook)s

-- name: dead_letters
SELECT id, webhook, stream, position, error, attempts, parked_at, requeue_requested
FROM magnet.webhook_dead_letters
WHERE %(since)s::timestamptz IS NULL OR (parked_at, id) > (%(since)s::timestamptz, %(last)s::uuid)
ORDER BY parked_at, id LIMIT %(limit)s

-- name: request_requeue
UPDATE magnet.webhook_dead_letters SET requeue_requested = true WHERE id = %(id)s RETURNING position

-- name: replay  -- made where the worker has not seen the webhook yet
INSERT INTO magnet.webhook_feeds AS f (webhook, position) VALUES (%(webhook)s, %(position)s)
ON CONFLICT (webhook) DO UPDATE SET position = excluded.position, generation = f.generation + 1, attempts = 0,
    retry_at = NULL
RETURNING position

-- name: wake
SELECT pg_notify('magnet_jobs', 'webhooks')
