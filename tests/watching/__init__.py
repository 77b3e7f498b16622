"""Tests of `mailnotify.watching`."""
