-- When each mailbox was first seen: what is older, and comes in bulk, is no news. Of those
-- that were seen before this was kept, no more is known than when they were last read.

ALTER TABLE cursors ADD COLUMN begun INTEGER NOT NULL DEFAULT 0; -- microseconds since 1970, UTC

UPDATE cursors SET begun = moved;
