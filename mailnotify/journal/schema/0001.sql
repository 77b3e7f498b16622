-- The journal: one row of journal, all entries, one cursor for each mailbox.
--
-- SQLite sees a damaged page, but not a flipped bit in a value: each row that
-- decides what is announced carries a CRC-32 of its own values.

PRAGMA application_id = 0x4d4e5446; -- "MNTF"

CREATE TABLE journal (
    epoch TEXT NOT NULL,
    pruned INTEGER NOT NULL -- the seq of the last entry that was forgotten
) STRICT;

CREATE TABLE entries (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL, -- microseconds since 1970, UTC
    event TEXT NOT NULL, -- JSON
    crc INTEGER NOT NULL, -- of seq, at and event
    -- The identity of mail; NULL for other events.
    account TEXT,
    mailbox TEXT,
    uidvalidity INTEGER,
    uid INTEGER
) STRICT;

CREATE UNIQUE INDEX entries_by_identity ON entries (account, mailbox, uidvalidity, uid)
    WHERE uid IS NOT NULL;

CREATE INDEX entries_by_time ON entries (at);

CREATE TABLE cursors (
    account TEXT NOT NULL,
    mailbox TEXT NOT NULL,
    uidvalidity INTEGER NOT NULL,
    last_uid INTEGER NOT NULL,
    crc INTEGER NOT NULL, -- of the other four
    PRIMARY KEY (account, mailbox)
) STRICT, WITHOUT ROWID;
