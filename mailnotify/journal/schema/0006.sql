-- A message may lie in several places: what they share (mailnotify.core.twins), to find one
-- by the other. A place that was found later is an entry of its own, of the kind 'filed'.

ALTER TABLE entries ADD COLUMN twin INTEGER; -- NULL where nothing is known of it

CREATE INDEX entries_by_twin ON entries (twin) WHERE twin IS NOT NULL;
