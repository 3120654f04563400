-- name: found  -- how many documents a search may find
SELECT count(*) FROM passages_v1.places

-- name: passages
SELECT text FROM passages_v1.passages ORDER BY id
