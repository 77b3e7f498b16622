-- What was last told of each mailbox: a service that starts again must know whether
-- its readers believe it blind, however long ago that entry was forgotten.

CREATE TABLE states (
    account TEXT NOT NULL,
    mailbox TEXT NOT NULL,
    event TEXT NOT NULL, -- JSON
    crc INTEGER NOT NULL, -- of the other three
    PRIMARY KEY (account, mailbox)
) STRICT, WITHOUT ROWID;
