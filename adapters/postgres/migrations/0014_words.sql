-- How a text's words are made, for passages and for queries alike. What joins the parts of a name, such as
-- datetime.fromisoformat or lru_cache, separates words: else only the whole name would be found, or a part by chance.
CREATE FUNCTION magnet.words(config text, told text) RETURNS tsvector LANGUAGE sql STABLE PARALLEL SAFE
RETURN to_tsvector(config::regconfig, translate(told, './_:@\', '      '));
