-- The end of a run is some 2,200 bytes: what is larger than 2,000 went into a table of its own, with an index of its own, and
-- all who follow the log fetched it from there. Up to 4,000 it stays where it is now; what was recorded before stays there.
ALTER TABLE magnet.magnet_events SET (toast_tuple_target = 4080);
