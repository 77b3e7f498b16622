"""Tests of `mailnotify.serving`."""
