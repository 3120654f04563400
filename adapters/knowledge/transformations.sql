-- name: kept
SELECT t.id, t.text FROM magnet.transformations t WHERE t.id = ANY (%(ids)s)

-- name: keep
INSERT INTO magnet.transformations (id, source, text, amount, currency)
VALUES (%(id)s, %(source)s, %(text)s, %(amount)s, %(currency)s) ON CONFLICT (id) DO NOTHING

-- name: spent  -- today, in UTC
SELECT coalesce(sum(t.amount), 0) FROM magnet.transformations t
WHERE t.source = %(source)s AND t.currency = %(currency)s
    AND t.made_at >= date_trunc('day', clock_timestamp(), 'UTC')
