"""Tests of `mailnotify.access`."""
