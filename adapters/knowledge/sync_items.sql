-- name: known
SELECT count(*) FROM magnet.sync_items WHERE source = %(source)s AND version IS NOT NULL

-- name: forget  -- what was never taken, or removed by an earlier sync
DELETE FROM magnet.sync_items WHERE source = %(source)s AND version IS NULL

-- name: list
INSERT INTO magnet.sync_items AS i (source, document, external_id, listed_by, listed_version)
SELECT %(source)s, v.document, v.external_id, %(sync)s, v.version
FROM unnest(%(documents)s, %(external_ids)s, %(versions)s) AS v (document, external_id, version)
ON CONFLICT (source, document) DO UPDATE SET listed_by = excluded.listed_by,
    listed_version = excluded.listed_version,
    outcome = CASE WHEN i.version = excluded.listed_version THEN 'unchanged' END

-- name: doubt
UPDATE magnet.sync_items SET listed_by = %(sync)s, listed_version = %(version)s, outcome = NULL
WHERE source = %(source)s AND listed_by <> %(sync)s AND version IS NOT NULL
    AND (%(documents)s::uuid[] IS NULL OR document = ANY (%(documents)s::uuid[]))
RETURNING document

-- name: totals
SELECT coalesce(outcome, ''), count(*) FROM magnet.sync_items
WHERE source = %(source)s AND listed_by = %(sync)s GROUP BY 1

-- name: next
SELECT document, external_id, sha256 FROM magnet.sync_items
WHERE source = %(source)s AND listed_by = %(sync)s AND outcome IS NULL
ORDER BY document LIMIT %(limit)s

-- name: settle
UPDATE magnet.sync_items i SET outcome = v.outcome,
    version = CASE WHEN v.outcome IN ('failed', 'gone') THEN i.version ELSE i.listed_version END,
    sha256 = coalesce(v.sha256, i.sha256)
FROM unnest(%(documents)s, %(outcomes)s, %(hashes)s) AS v (document, outcome, sha256)
WHERE i.source = %(source)s AND i.document = v.document

-- name: gone
SELECT document FROM magnet.sync_items
WHERE source = %(source)s AND (listed_by <> %(sync)s OR outcome = 'gone') AND version IS NOT NULL
ORDER BY document LIMIT %(limit)s

-- name: remove
UPDATE magnet.sync_items SET outcome = 'removed', version = NULL, sha256 = NULL, listed_by = %(sync)s
WHERE source = %(source)s AND document = ANY (%(documents)s)
