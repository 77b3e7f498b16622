"""The protocol half: what is said to an IMAP server, and what it says."""
