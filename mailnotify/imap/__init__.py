"""The watching half: bytes of an IMAP server become new mail."""
