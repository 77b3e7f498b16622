"""Tests of `tests.fakes`: what stands in for a part keeps the promises of that part."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import Retention
from mailnotify.interfaces import IJournal
from tests.fakes import MemoryJournal
from tests.journal import contract


class MemoryJournalTests(SynchronousTestCase, contract.JournalContract):
    """The contract of all journals."""

    def make_journal(self, retention: Retention) -> IJournal:
        return MemoryJournal(retention=retention)
