-- Who gave an upload: they may ask how far it is, also where no group of theirs finds what they gave.
ALTER TABLE magnet.uploads ADD COLUMN giver_type text, ADD COLUMN giver text;
