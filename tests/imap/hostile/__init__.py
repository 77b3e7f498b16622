"""An IMAP server that misbehaves as real ones were seen to, against the real watcher.

`network` is TCP and TLS in memory, on a clock that the test turns; `server` is an
honest IMAP server, `faults` are the ways in which it stops being one, and each
module ``of_…`` lists behaviours: a name, who met it, the faults, and what must
come out. `simulation` plays half an hour of one of them.
"""
