-- name: found  -- how many documents a search may find
SELECT count(*) FROM passages_v1.places

-- name: requests  -- that the embedding server was sent
SELECT count(*) FROM runs_v1.calls

-- name: passages
SELECT text FROM passages_v1.passages ORDER BY id
