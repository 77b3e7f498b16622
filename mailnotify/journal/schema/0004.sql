-- What becomes of a message (it is read, it is removed) has the identity of the message,
-- and is told once; and how far a mailbox's changes have been read (RFC 7162).

ALTER TABLE entries ADD COLUMN kind TEXT NOT NULL DEFAULT 'mail';

DROP INDEX entries_by_identity;

CREATE UNIQUE INDEX entries_by_identity ON entries (account, mailbox, uidvalidity, uid, kind)
    WHERE uid IS NOT NULL;

ALTER TABLE cursors ADD COLUMN modseq INTEGER NOT NULL DEFAULT 0; -- in the crc, unless 0
