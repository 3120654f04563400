-- name: ids
SELECT id FROM configurations_v1.things
WHERE kind = 'knowledge_source' AND document::json ->> 'schedule' IS NOT NULL
