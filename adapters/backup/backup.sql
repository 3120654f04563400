-- name: tables  -- what is kept: every table but the migrations' own, with its columns in order
SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
WHERE n.nspname = 'magnet' AND c.relkind IN ('r', 'p') AND c.relname <> 'schema_migrations'
GROUP BY c.relname
ORDER BY c.relname

-- name: schema_version
SELECT coalesce(max(number), 0) FROM magnet.schema_migrations

-- name: head  -- the last event
SELECT notification_id, encode(hash, 'hex') FROM magnet.magnet_events
ORDER BY notification_id DESC LIMIT 1

-- name: fingerprint
SELECT key_fingerprint FROM magnet.installation

-- name: copy_out
COPY {table} ({columns}) TO STDOUT

-- name: copy_in
COPY {table} ({columns}) FROM STDIN

-- name: count
SELECT count(*) FROM {table}

-- name: is_installed
SELECT to_regclass('magnet.magnet_events') IS NOT NULL

-- name: has_events
SELECT EXISTS (SELECT FROM magnet.magnet_events)

-- name: others  -- who else uses this database
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'

-- name: schemas
SELECT nspname FROM pg_namespace

-- name: rename_schema
ALTER SCHEMA {schema} RENAME TO {name}

-- name: drop_schema
DROP SCHEMA IF EXISTS {schema} CASCADE

-- name: numbered  -- the columns that PostgreSQL numbers itself
SELECT c.relname, a.attname::text FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attidentity <> ''
WHERE n.nspname = 'magnet' AND c.relkind IN ('r', 'p')

-- name: go_on  -- number on after what was restored
SELECT setval(pg_get_serial_sequence(%(table)s, %(column)s), max({column})) FROM {table} HAVING count(*) > 0

-- name: fill_anew  -- other stores of vectors went on after the backup: what is noted of them is no longer so
UPDATE magnet.vector_stores SET filling = filling + 1
