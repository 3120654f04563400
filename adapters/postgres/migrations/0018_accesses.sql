-- What the access log can be asked by, beside the name of who asked: by their id, by what came of it, by time.

CREATE INDEX access_log_actor_id ON magnet.access_log (actor_id, id) WHERE actor_id <> actor_name;
CREATE INDEX access_log_outcome ON magnet.access_log (outcome, id) WHERE outcome <> 'allowed';
CREATE INDEX access_log_at ON magnet.access_log (at);
