-- All knowledge sources are asked for when embedding models change: found without reading the whole log.
CREATE INDEX magnet_events_sources ON magnet.magnet_events (notification_id) WHERE topic = 'knowledge_source.created';
