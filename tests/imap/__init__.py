"""Tests of `mailnotify.imap`."""
