-- What the copies of messages are known by that no entry tells of: such as lay in a mailbox
-- before it was first seen, and such as were forgotten. And which mailboxes were looked
-- through for that, by a number for each.

CREATE TABLE bygone (
    twin INTEGER PRIMARY KEY
) STRICT;
