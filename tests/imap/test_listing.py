"""What goes over the wire to learn which mailboxes there are, and what is made of it."""

from __future__ import annotations

import time

from hypothesis import given, strategies as st

from mailnotify.core.patterns import Listing, read_wanted
from mailnotify.errors import CommandRefused
from mailnotify.imap import listing
from mailnotify.imap.responses import ListItem
from tests.imap.scripted import Letters
from tests.imap.test_session import SessionCase

_DELIMITER = b'* LIST (\\Noselect) "/" ""\r\nTAG OK\r\n'


class ListingCase(SessionCase):
    """A session that is asked for mailboxes."""

    capabilities = b"IMAP4rev1 IDLE"

    def setUp(self) -> None:
        super().setUp()
        self.answer(b"AUTHENTICATE", b"TAG OK [CAPABILITY %b] in\r\n" % self.capabilities)
        self.answer(b'LIST "" ""', _DELIMITER)
        self.session = self.open()

    def listed(self, *mailboxes: str) -> Listing:
        return self.result(self.session.list_mailboxes(read_wanted(mailboxes)))

    def questions(self) -> list[bytes]:
        return self.heard(b"LIST")


class PlainTests(ListingCase):
    """A server with nothing but LIST."""

    def say(self, *lines: bytes) -> None:
        self.answer(
            b"LIST", b"".join(b"* LIST " + each + b"\r\n" for each in lines) + b"TAG OK\r\n"
        )

    def test_one_question_for_each(self) -> None:
        """Each pattern by itself, in the server's words; exceptions are ours."""
        self.answer(b'LIST "" ""', b'* LIST (\\Noselect) "." ""\r\nTAG OK\r\n')
        self.say(b'() "." Lists.a', b'() "." Lists.spam', b'() "." Work')
        found = self.listed("Lists/*", "Entwürfe/%", "!Lists/spam")
        self.assertEqual(found.names, ("Lists.a",))
        self.assertEqual(self.questions()[1:3], [b'LIST "" "Lists.*"', b'LIST "" "Entw&APw-rfe.%"'])

    def test_what_cannot_be_opened(self) -> None:
        """Places between others, and what is not there, are no mailboxes."""
        self.say(b'(\\Noselect) "/" Lists', b'(\\nonExistent) "/" Old', b'() "/" Lists/a')
        self.assertEqual(self.listed("*").names, ("Lists/a",))

    def test_special_use(self) -> None:
        """Passed over, with what lies below, unless a pattern asks for that by itself."""
        self.say(b'(\\Junk) "/" Spam', b'() "/" Spam/old', b'(\\Sent) "/" Out', b'() "/" A')
        found = self.listed("*")
        self.assertEqual(found.names, ("A",))
        self.assertEqual(found.passed_over, {"Spam", "Spam/old", "Out"})
        self.assertEqual(self.listed("Spam/%").names, ("Spam/old",))

    def test_names(self) -> None:
        """However a name is written, it is read, once, INBOX first whatever its case."""
        self.say(
            b'() "/" Zoo',
            b'() "/" inbox',
            b'() "/" "a \\"b\\" \\\\c"',
            b'() "/" Zoo',
            b'() "/" "we*ird%"',
            b'() "/" Entw&APw-rfe',
            b'() "/" "\xd0\x90"',
            b"() NIL {3}\r\nx y",
            b'() "/" Inbox',
        )
        names = self.listed("*").names
        self.assertEqual(names, ("INBOX", "Entwürfe", "Zoo", 'a "b" \\c', "we*ird%", "x y", "А"))

    def test_names_that_could_do_harm(self) -> None:
        """Controls, CR LF and what cannot be said again are left out."""
        self.say(
            b'() "/" {6}\r\na\r\nb c',
            b'() "/" "a\x1b[31m"',
            b'() "/" "&AAo-"',
            b'() "/" "' + b"x" * 2000 + b'"',
            b'() "/" ""',
            b'() "/" good',
        )
        self.assertEqual(self.listed("*").names, ("good",))

    def test_flat(self) -> None:
        """A server without levels."""
        self.answer(b'LIST "" ""', b'* LIST () NIL ""\r\nTAG OK\r\n')
        self.say(b"() NIL Lists/a", b"() NIL Lists")
        found = self.listed("Lists/%")
        self.assertEqual((found.names, found.delimiter), (("Lists/a",), None))

    def test_no_delimiter_told(self) -> None:
        """A server that says nothing of nothing has what most have."""
        self.answer(b"LIST", b"TAG OK\r\n")
        self.answer(b'LIST "" ""', b"TAG OK\r\n")
        self.assertEqual(self.listed("a/*").delimiter, "/")

    def test_barren(self) -> None:
        """A pattern that brings nothing is told, with what there is instead."""
        self.answer(b'LIST "" "%"', b'* LIST () "/" Mail\r\n* LIST () "/" INBOX\r\nTAG OK\r\n')
        self.answer(b'LIST "" "Lists/*"', b"TAG OK\r\n")
        self.answer(b'LIST "" "I*"', b'* LIST () "/" INBOX\r\nTAG OK\r\n')
        found = self.listed("Lists/*", "I*")
        self.assertEqual((found.barren, found.top), (("Lists/*",), ("Mail", "INBOX")))
        self.assertEqual(found.names, ("INBOX",))

    def test_refused(self) -> None:
        """A server that does not list says so."""
        self.answer(b"LIST", b"TAG NO not for you\r\n")
        wanted = read_wanted(["*"])
        self.failureResultOf(self.start(self.session.list_mailboxes(wanted)), CommandRefused)

    def test_a_hundred_thousand(self) -> None:
        """No more are kept than a person has, and none of what nobody asked for."""
        lines = [b'() "/" Lists/%d' % number for number in range(100_000)]
        self.say(*lines)
        begun = time.process_time()
        found = self.listed("Lists/*")
        self.assertEqual(len(found.names), listing.MOST_MAILBOXES)
        self.assertEqual(found.overflow, 100_000 - listing.MOST_MAILBOXES)
        self.assertEqual(self.listed("Work/*").names, ())
        self.assertLess(time.process_time() - begun, 60)


class ExtendedTests(ListingCase):
    """A server with LIST-EXTENDED and SPECIAL-USE, as Dovecot and Cyrus."""

    capabilities = b"IMAP4rev1 IDLE LIST-EXTENDED SPECIAL-USE"

    def test_one_question_for_all(self) -> None:
        """All patterns in one command, and marks are asked for."""
        self.answer(b"LIST", b'* LIST (\\Trash) "/" Bin\r\n* LIST () "/" Lists/a\r\nTAG OK\r\n')
        found = self.listed("Lists/*", "B*")
        self.assertEqual((found.names, found.passed_over), (("Lists/a",), {"Bin"}))
        question = b'LIST "" ("Lists/*" "B*") RETURN (SPECIAL-USE)'
        self.assertEqual(self.questions()[1], question)

    def test_not_as_offered(self) -> None:
        """A server that will not take it is asked the old way."""
        self.answer(b'LIST "" (', b"TAG BAD what?\r\n")
        self.answer(b"LIST", b'* LIST () "/" Lists/a\r\nTAG OK\r\n')
        self.assertEqual(self.listed("Lists/*").names, ("Lists/a",))

    @given(st.lists(st.binary(max_size=20), max_size=10))
    def test_anything(self, names: list[bytes]) -> None:
        """Whatever a server names, what is watched can be shown and said again."""
        lines = [b'* LIST () "/" {%d}\r\n%b\r\n' % (len(each), each) for each in names]
        self.setUp()
        self.answer(b"LIST", b"".join(lines).replace(b"TAG", b"") + b"TAG OK\r\n")
        for each in self.listed("*").names:
            self.assertTrue(each.isprintable())
        self.session.abort()


class NamesTests(ListingCase):
    """What a server says of names by itself."""

    capabilities = b"IMAP4rev1 IDLE NOTIFY"

    def setUp(self) -> None:
        super().setUp()
        Letters(3).install(self.server)
        self.told: list[ListItem] = []
        self.session.hear_names(self.told.append)
        self.answer(b"NOTIFY", b"TAG OK\r\n")

    def test_told(self) -> None:
        """A new name, one that is gone, and one that was another before."""
        self.result(self.session.examine("INBOX"))
        self.result(self.session.listen(lambda mailbox, status: None))
        self.server.say(
            b'* LIST () "." Lists.c\r\n* LIST (\\NonExistent) "." Lists.b\r\n'
            b'* LIST () "." Lists.x ("OLDNAME" (Lists.a))\r\n'
            b'* LIST () "." "x y" ("CHILDINFO" ("SUBSCRIBED") "OLDNAME" ("a \\"b"))\r\n'
            b'* LIST () "." {1}\r\nz ("OLDNAME" ({3}\r\na b))\r\n'
        )
        self.assertEqual(
            [(each.name, each.old_name) for each in self.told],
            [
                ("Lists.c", None),
                ("Lists.b", None),
                ("Lists.x", "Lists.a"),
                ("x y", 'a "b'),
                ("z", "a b"),
            ],
        )
        self.assertEqual(self.told[1].attributes, {"\\nonexistent"})

    def test_while_a_mailbox_is_opened(self) -> None:
        """What comes between the answers of EXAMINE is heard too."""
        self.answer(
            b"EXAMINE",
            b'* LIST () "/" Lists/c\r\n* STATUS Lists/a (UIDNEXT 9)\r\n'
            b"* 0 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n* OK [UIDNEXT 6]\r\nTAG OK\r\n",
        )
        hints: list[str] = []
        self.result(self.session.examine("INBOX"))
        self.result(self.session.listen(lambda mailbox, status: hints.append(mailbox)))
        self.assertEqual([each.name for each in self.told], ["Lists/c"])
        self.assertEqual(hints, ["Lists/a"])

    def test_answers_are_no_news(self) -> None:
        """What was asked for is told to nobody else."""
        self.answer(b"LIST", b'* LIST () "/" Lists/a\r\nTAG OK\r\n')
        self.listed("*")
        self.assertEqual(self.told, [])

    def test_roots(self) -> None:
        """The server tells of all below a mailbox, or of everything."""
        self.result(self.session.notify(["Work"], ["Lists/a"], ["Lists", "O ld"]))
        (request,) = self.heard(b"NOTIFY")
        self.assertIn(b'(MAILBOXES ("Work") (MessageNew MessageExpunge FlagChange))', request)
        self.assertIn(
            b'(SUBTREE ("Lists" "O ld") (MessageNew MessageExpunge FlagChange MailboxName))',
            request,
        )
        self.result(self.session.notify([], ["Lists/a"], [""]))
        self.assertIn(b"(PERSONAL (Mess", self.heard(b"NOTIFY")[1])
        self.assertNotIn(b"MAILBOXES", self.heard(b"NOTIFY")[1])


class SurveyOfOddNamesTests(ListingCase):
    """Asking about mailboxes whose names would be patterns."""

    capabilities = b"IMAP4rev1 LIST-STATUS LIST-EXTENDED"

    def test_asked_by_themselves(self) -> None:
        """A name with a wildcard is asked for by STATUS, which takes no patterns."""
        self.answer(b"LIST", b'* LIST () "/" Work\r\n* STATUS Work (UIDNEXT 4)\r\nTAG OK\r\n')
        self.answer(b"STATUS", b'* STATUS "a*" (UIDNEXT 5)\r\nTAG OK\r\n')
        statuses = self.result(self.session.survey(["Work", "a*"]))
        self.assertEqual([each.uidnext for each in statuses.values()], [4, 5])
        self.assertIn(b'STATUS "a*" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)', self.heard(b"STATUS"))
        self.assertNotIn(b"a*", self.heard(b"LIST")[0])
