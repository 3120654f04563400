-- name: lock  -- one migrates, the others wait; the lock goes with the connection
SELECT pg_advisory_lock(5577006791947779411)

-- name: prepare
CREATE SCHEMA IF NOT EXISTS magnet;
CREATE TABLE IF NOT EXISTS magnet.schema_migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)

-- name: exists
SELECT to_regclass('magnet.schema_migrations') IS NOT NULL

-- name: applied
SELECT number, sha256 FROM magnet.schema_migrations ORDER BY number

-- name: record
INSERT INTO magnet.schema_migrations (number, name, sha256)
VALUES (%(number)s, %(name)s, %(sha256)s)

-- name: role_exists
SELECT 1 FROM pg_roles WHERE rolname = %(role)s

-- name: create_role
CREATE ROLE {app} LOGIN
