-- Documents and their texts as they are: compressing them took more of a core than all else of storing them, and what is
-- large of them, pages and office files, is compressed already. What was stored before stays as it is.
ALTER TABLE magnet.contents ALTER COLUMN content SET STORAGE EXTERNAL;
ALTER TABLE magnet.parsings ALTER COLUMN text SET STORAGE EXTERNAL;
