-- name: access  -- a document's own access, and that of the version whose text it is
(CASE WHEN pl.acl IS NULL THEN pl.shelf = ANY ((SELECT open FROM shelf)::bigint[]) ELSE pl.acl && %(groups)s::text[] END
AND CASE WHEN pl.text_acl IS NULL THEN pl.shelf = ANY ((SELECT open FROM shelf)::bigint[])
    ELSE pl.text_acl && %(groups)s::text[] END)

-- name: eq  -- the index on fields answers it
pl.fields @> jsonb_build_object({key}::text, {value}::jsonb)

-- name: among
coalesce((pl.fields -> {key}::text) = ANY ({values}::jsonb[]), false)

-- name: exists
pl.fields ? {key}::text

-- name: number  -- CASE: nothing but a number is ever taken for one
CASE WHEN jsonb_typeof(pl.fields -> {key}::text) = 'number'
    THEN (pl.fields -> {key}::text)::numeric {operator} {value}::numeric ELSE false END

-- name: text  -- by code point, whatever the database's language
CASE WHEN jsonb_typeof(pl.fields -> {key}::text) = 'string'
    THEN (pl.fields ->> {key}::text) COLLATE pg_catalog."C" {operator} {value}::text ELSE false END

-- name: holds_item
pl.fields @> jsonb_build_object({key}::text, jsonb_build_array({value}::jsonb))

-- name: holds_text
CASE WHEN jsonb_typeof(pl.fields -> {key}::text) = 'string'
    THEN strpos(pl.fields ->> {key}::text, {value}::text) > 0 ELSE false END
