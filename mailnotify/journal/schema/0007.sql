-- A mailbox may be renamed (RFC 8474 names it by an id of its own), and a pattern brings
-- mailboxes that come and go: when each pattern was last looked into.

ALTER TABLE cursors ADD COLUMN mailbox_id TEXT NOT NULL DEFAULT ''; -- in the crc, unless empty

CREATE TABLE patterns (
    account TEXT NOT NULL,
    pattern TEXT NOT NULL,
    resolved INTEGER NOT NULL, -- microseconds since 1970, UTC
    PRIMARY KEY (account, pattern)
) STRICT, WITHOUT ROWID;
