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
