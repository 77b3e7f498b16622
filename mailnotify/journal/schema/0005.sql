-- When each cursor was last moved: whatever is older in a rebuilt mailbox was known.

ALTER TABLE cursors ADD COLUMN moved INTEGER NOT NULL DEFAULT 0; -- microseconds since 1970, UTC
