"""What is kept of the answers to one FETCH."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.headers import MOST_BYTES
from mailnotify.core.preview import MOST_BODY_BYTES
from mailnotify.imap.answers import Answers
from mailnotify.imap.responses import FetchData


class AnswersTests(SynchronousTestCase):
    """A batch is bounded in memory, whatever its server sends."""

    def test_no_more_is_kept_than_is_read(self) -> None:
        """A server that knows no partials sends megabytes; their rest is let go."""
        answers = Answers({5}, 1)
        whole = {"BODY[HEADER]": b"h" * 2 * MOST_BYTES, "BODY[TEXT]": b"t" * 2 * MOST_BYTES}
        answers(FetchData(seq=1, uid=5, sections=whole))
        (fetched,) = answers.take()
        self.assertEqual(len(fetched.header), MOST_BYTES)
        self.assertEqual(len(fetched.text), MOST_BODY_BYTES)
