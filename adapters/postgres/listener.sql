-- name: log
LISTEN magnet_log

-- name: read
LISTEN magnet_read

-- name: credentials
LISTEN magnet_credentials

-- name: data_keys
LISTEN magnet_data_keys

-- name: turns
LISTEN magnet_turns

-- name: jobs
LISTEN magnet_jobs
