-- name: after
SELECT d.document FROM magnet.source_documents d WHERE d.source = %(source)s AND d.document > %(after)s
ORDER BY d.document LIMIT %(limit)s

-- name: waiting
SELECT count(*) FROM magnet.jobs j JOIN magnet.source_documents d ON d.document::text = j.key AND d.source = %(source)s
WHERE j.kind = %(kind)s

-- name: sources
SELECT e.originator_id FROM magnet.magnet_events e WHERE e.topic = 'knowledge_source.created' ORDER BY e.notification_id
