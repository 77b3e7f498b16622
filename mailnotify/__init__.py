"""mailnotify watches IMAP mailboxes and tells the moment mail arrives."""

__version__ = "0.1.0"
