-- The outbox: letters, what became of each of their recipients, and their bytes.
--
-- Moments are microseconds since 1970, UTC. The bytes lie in a table of their own, so
-- that a list of ten thousand letters reads none of them.

PRAGMA application_id = 0x4d4e544f; -- "MNTO"

CREATE TABLE letters (
    number INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice: people write it down
    account TEXT NOT NULL,
    sender TEXT NOT NULL, -- of the envelope
    message_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    state TEXT NOT NULL,
    queued_at INTEGER NOT NULL,
    due INTEGER NOT NULL, -- not before this; means nothing once finished
    expires INTEGER NOT NULL,
    finished_at INTEGER, -- when it was sent, failed or cancelled
    attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '', -- of the last attempt that failed
    key TEXT, -- of the one who queued it: the same key is the same letter
    wants_copy INTEGER NOT NULL DEFAULT 0, -- once sent, a copy belongs into the Sent mailbox
    crc INTEGER NOT NULL -- of all that goes out: account, sender, recipients, bytes
) STRICT;

CREATE INDEX letters_by_due ON letters (account, due) WHERE state IN ('queued', 'waiting');
CREATE INDEX letters_by_expiry ON letters (expires) WHERE state IN ('queued', 'waiting');
CREATE INDEX letters_under_way ON letters (number) WHERE state = 'sending';
CREATE INDEX letters_by_end ON letters (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX letters_by_message_id ON letters (message_id);
CREATE INDEX letters_to_copy ON letters (account) WHERE wants_copy AND state = 'sent';
CREATE UNIQUE INDEX letters_by_key ON letters (key) WHERE key IS NOT NULL;

CREATE TABLE recipients (
    letter INTEGER NOT NULL REFERENCES letters (number) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    address TEXT NOT NULL,
    fate TEXT NOT NULL DEFAULT 'pending',
    code INTEGER NOT NULL DEFAULT 0,
    said TEXT NOT NULL DEFAULT '',
    is_told INTEGER NOT NULL DEFAULT 0, -- that it failed stands in the journal
    PRIMARY KEY (letter, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX recipients_untold ON recipients (letter) WHERE fate = 'refused' AND is_told = 0;

CREATE TABLE messages (
    letter INTEGER PRIMARY KEY REFERENCES letters (number) ON DELETE CASCADE,
    content BLOB NOT NULL
) STRICT;
