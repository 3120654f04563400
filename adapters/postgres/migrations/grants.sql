-- name: grants  -- what the application's role may do: read the log, write it by one function only
GRANT USAGE ON SCHEMA magnet TO {app};
GRANT CREATE ON DATABASE {database} TO {app};
GRANT SELECT ON ALL TABLES IN SCHEMA magnet TO {app};
GRANT INSERT, DELETE ON magnet.magnet_snapshots TO {app};
GRANT INSERT, DELETE ON magnet.idempotency TO {app};
GRANT INSERT, UPDATE ON magnet.data_keys TO {app};
GRANT INSERT, UPDATE ON magnet.credential_uses TO {app};
GRANT INSERT ON magnet.installation TO {app};
GRANT INSERT, UPDATE, DELETE ON magnet.leases, magnet.jobs, magnet.turn_events, magnet.sync_items,
    magnet.private_documents TO {app};
GRANT INSERT, DELETE ON magnet.transformations, magnet.contents, magnet.parsings, magnet.chunkings, magnet.chunks, magnet.embeddings,
    magnet.source_documents, magnet.uploads, magnet.spaces TO {app};
GRANT INSERT, UPDATE, DELETE ON magnet.webhook_feeds, magnet.webhook_dead_letters, magnet.stored_places,
    magnet.vector_stores TO {app};
GRANT INSERT ON magnet.tree_nodes, magnet.checkpoints, magnet.access_log TO {app};
GRANT INSERT, UPDATE, DELETE ON magnet.inbox, magnet.consumed, magnet.foreign_messages TO {app};
REVOKE ALL ON FUNCTION magnet.append, magnet.apply_effects, magnet.apply_work_effects,
    magnet.apply_configuration_effects FROM PUBLIC;
GRANT EXECUTE ON FUNCTION magnet.append TO {app};
GRANT USAGE ON SCHEMA magnet_read TO {app};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA magnet_read TO {app};
