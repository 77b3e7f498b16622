-- The journal. What is told at once of one mailbox is one row of batches: one checksum, one
-- entry in an index. Each page that is touched is written and synced, so that there are few
-- indices, and all but one grow at their ends.
--
-- SQLite sees a damaged page, but not a flipped bit in a value: each row that decides what
-- is announced carries a checksum of its own values, or has them twice, in table and index.

PRAGMA application_id = 0x4d4e5446; -- "MNTF"

CREATE TABLE journal (
    epoch TEXT NOT NULL,
    pruned INTEGER NOT NULL -- the seq of the last entry that was forgotten
) STRICT;

CREATE TABLE batches (
    last INTEGER PRIMARY KEY, -- the seq of its last entry; the first follows that of the row before
    at INTEGER NOT NULL, -- microseconds since 1970, UTC
    latest INTEGER NOT NULL, -- the latest time of all rows so far: a clock may be set back
    low INTEGER NOT NULL, -- the place of its first message, the lowest: box * 2^32 + UID
    high INTEGER NOT NULL, -- that of its last message; both are 0 if it tells of none
    twin INTEGER NOT NULL, -- the key of a message (mailnotify.core.twins) whose further place
                           -- it tells of; 0 if it tells of none
    crc INTEGER NOT NULL, -- of all others
    names BLOB NOT NULL -- 32 bits for each message (mailnotify.core.kin); 0 if it has no name
        CHECK (length(names) % 4 = 0), -- all are read at the start, which looks at this before
    events BLOB NOT NULL -- a JSON array
) STRICT;

-- A row of one message is found by its place; other rows never overlap one another.
CREATE UNIQUE INDEX batches_by_place ON batches (high) WHERE high > 0;
CREATE UNIQUE INDEX batches_of_many ON batches (high) WHERE low < high;

-- A mailbox under one UIDVALIDITY, by a short number.
CREATE TABLE boxes (
    box INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    mailbox TEXT NOT NULL, -- what it is called now
    uidvalidity INTEGER NOT NULL,
    UNIQUE (account, mailbox, uidvalidity)
) STRICT;

-- What became of messages. The sum notices each single bit that flips, since 65,521 is
-- prime; SQLite compares it in its check at the start.
CREATE TABLE fates (
    place INTEGER PRIMARY KEY,
    told INTEGER NOT NULL, -- 1 if it was read, 2 if it is gone, 3 if both
    sum INTEGER NOT NULL CHECK (sum = (place + 3 * told) % 65521)
) STRICT;

-- What the copies of messages are known by that no entry tells of: such as lay in a mailbox
-- before it was first seen, and such as were forgotten. And which mailboxes were looked
-- through for that, by a key for each. The lowest numbers are forgotten first.
CREATE TABLE bygone (
    number INTEGER PRIMARY KEY,
    name INTEGER NOT NULL,
    twin INTEGER NOT NULL,
    UNIQUE (twin, name) -- one twin has one name: both of them stand there a second time
) STRICT;

CREATE TABLE cursors (
    account TEXT NOT NULL,
    mailbox TEXT NOT NULL,
    uidvalidity INTEGER NOT NULL,
    last_uid INTEGER NOT NULL,
    modseq INTEGER NOT NULL, -- RFC 7162; 0 if nothing is known
    mailbox_id TEXT NOT NULL, -- RFC 8474; empty if nothing is known
    crc INTEGER NOT NULL, -- of the other six
    moved INTEGER NOT NULL, -- when, in microseconds since 1970, UTC: whatever is older in a
                            -- rebuilt mailbox was known
    begun INTEGER NOT NULL, -- when it was first seen: what is older, and comes in bulk, is no news
    PRIMARY KEY (account, mailbox)
) STRICT, WITHOUT ROWID;

-- When each pattern of mailboxes was last looked into.
CREATE TABLE patterns (
    account TEXT NOT NULL,
    pattern TEXT NOT NULL,
    resolved INTEGER NOT NULL, -- microseconds since 1970, UTC
    PRIMARY KEY (account, pattern)
) STRICT, WITHOUT ROWID;

-- What was last told of each mailbox: a service that starts again must know whether
-- its readers believe it blind, however long ago that entry was forgotten.
CREATE TABLE states (
    account TEXT NOT NULL,
    mailbox TEXT NOT NULL,
    event TEXT NOT NULL, -- JSON
    crc INTEGER NOT NULL, -- of the other three
    PRIMARY KEY (account, mailbox)
) STRICT, WITHOUT ROWID;

-- How far each named reader has acknowledged, and when it was last there.
CREATE TABLE readers (
    owner TEXT NOT NULL, -- the name of a token; empty for users of this machine
    name TEXT NOT NULL,
    seq INTEGER NOT NULL,
    seen INTEGER NOT NULL, -- microseconds since 1970, UTC
    crc INTEGER NOT NULL, -- of owner, name and seq
    PRIMARY KEY (owner, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX readers_by_time ON readers (seen);
