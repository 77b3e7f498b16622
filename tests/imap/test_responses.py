"""Tests of the parser: one whole response → one typed value, and never an exception."""

from __future__ import annotations

import time
import tracemalloc
from datetime import UTC, datetime

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.imap.framer import Framer
from mailnotify.imap.parser import parse
from mailnotify.imap.responses import (
    Capabilities,
    Code,
    Continuation,
    Enabled,
    ESearchResult,
    Exists,
    Expunged,
    FetchData,
    Flags,
    Id,
    ListItem,
    MailboxItems,
    Namespace,
    NamespaceEntry,
    NumberSet,
    Recent,
    Response,
    SearchResult,
    Status,
    StatusResponse,
    Tagged,
    Unparsed,
    Vanished,
)
from tests.imap.corpus import framed, said, transcripts

_HEADER = (
    b"From: Alice <alice@example.org>\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    b"Message-ID: <1@example.org>\r\n"
    b"\r\n"
)

MOST_PARSING_SECONDS = 0.15
"""Of processor time for one line; 50 ms are the aim, coverage and busy machines cost more."""

_KINDS = ["FETCH", "EXISTS", "LIST", "STATUS", "SEARCH", "ESEARCH", "ID", "NAMESPACE", "FLAGS"]
_KINDS += ["VANISHED", "OK", "CAPABILITY", "ENABLED"]
_PIECES = ["(", ")", '"', "\\", " ", "[", "]", "NIL", "UID", "5", "1:2", "BODY[", "<0>", "ALL"]
_PIECES += ["INTERNALDATE", "FLAGS", "MODSEQ", "EARLIER", "TAG", "é", "{1}\r\nx", "\0"]


_PART = b'("text" "plain" ("charset" "utf-8") NIL "a (b" "7bit" 6 1 NIL NIL)'
_USUAL = [
    *(b"UID 345", b"FLAGS (\\Seen $x)", b"FLAGS ([x] b)", b"RFC822.SIZE 4321", b"MODSEQ (77)"),
    *(b'INTERNALDATE "15-Jan-2024 10:20:31 +0100"', b'INTERNALDATE "31-Feb-2024"'),
    *(b"X-GUID 4f3a", b"EMAILID (M6d)", b"X-GM-MSGID 1278455344230334865", b"UID 0"),
    b"BODYSTRUCTURE " + _PART,
    b'BODYSTRUCTURE ((%b%b "mixed" ("boundary" "\\"b\\"")) "digest")' % (_PART, _PART),
    b"BODYSTRUCTURE " + b"(" * 20 + _PART + b")" * 20,
]
"""Items as honest servers write them, of which one regular expression knows most."""


def _fetched(data: bytes) -> FetchData:
    """The one FETCH response in these bytes."""
    response = said(data)
    assert isinstance(response, FetchData), response
    return response


def _seconds_of(data: bytes) -> float:
    """Of processor time, to read one line."""
    started = time.process_time()
    said(data)
    return time.process_time() - started


def _listed(data: bytes) -> tuple[str | None, str, bytes]:
    """Delimiter, name and raw name of the one LIST response in these bytes."""
    response = said(data)
    assert isinstance(response, ListItem), response
    return response.delimiter, response.name, response.raw


class TableTests(SynchronousTestCase):
    """One response, one value."""

    def check(self, table: dict[bytes, Response]) -> None:
        """Each response is read as this value, with CRLF and with LF alone."""
        for data, expected in table.items():
            self.assertEqual(said(data), expected, data)

    def test_counts(self) -> None:
        """EXISTS, RECENT and EXPUNGE in any case, with any blanks."""
        self.check(
            {
                b"* 172 EXISTS": Exists(count=172),
                b" *\t 0   exists ": Exists(count=0),
                b"* 4294967295 Exists": Exists(count=2**32 - 1),
                b"* 3 Recent": Recent(count=3),
                b"* 7 EXPUNGE": Expunged(seq=7),
            }
        )

    def test_what_is_no_count(self) -> None:
        """TRAPS 16: a count that is none is passed over."""
        for data, kind in {
            b"* x EXISTS": "X",
            b"* EXISTS": "EXISTS",
            b"* -1 EXISTS": "-1",
            b"* 4294967296 EXISTS": "EXISTS",
            b"* 99999999999 EXISTS": "99999999999",
            b"* 0 EXPUNGE": "EXPUNGE",
            b"* 0 FETCH (UID 5)": "FETCH",
            b"* 5": "5",
            b"* 5 OK": "OK",
            b"* 5 FLAGS (x)": "FLAGS",
        }.items():
            self.assertEqual(said(data), Unparsed(kind=kind, raw=data))

    def test_vanished(self) -> None:
        """VANISHED, earlier or now, ranges in any direction (RFC 7162)."""
        self.check(
            {
                b"* VANISHED 405,407,410:425": Vanished(
                    uids=NumberSet(((405, 405), (407, 407), (410, 425)))
                ),
                b"* vanished (earlier) 300:1": Vanished(
                    uids=NumberSet(((1, 300),)), is_earlier=True
                ),
            }
        )
        for data in (b"* VANISHED", b"* VANISHED 1:*", b"* VANISHED 0", b"* VANISHED (EARLIER)"):
            self.assertEqual(said(data), Unparsed(kind="VANISHED", raw=data))

    def test_status_responses(self) -> None:
        """The five status words, their codes, and texts that may be missing."""
        ok = Status.OK
        self.check(
            {
                b"* OK ready": StatusResponse(status=ok, text="ready"),
                b"* OK": StatusResponse(status=ok),
                b"* ok[alert]no blank": StatusResponse(
                    status=ok, code=Code("ALERT"), text="no blank"
                ),
                b"* OK [UIDNEXT 346] next": StatusResponse(
                    status=ok, code=Code("UIDNEXT", ("346",)), text="next"
                ),
                b"* NO": StatusResponse(status=Status.NO),
                b"* BAD [CLIENTBUG]": StatusResponse(status=Status.BAD, code=Code("CLIENTBUG")),
                b"* BYE Autologout": StatusResponse(status=Status.BYE, text="Autologout"),
                b"* PREAUTH": StatusResponse(status=Status.PREAUTH),
                b"a1 no [x] (((": Tagged(tag="a1", status=Status.NO, code=Code("X"), text="((("),
                b"A1 OK": Tagged(tag="A1", status=ok),
                b"  A1  BAD": Tagged(tag="A1", status=Status.BAD),
            }
        )

    def test_words_of_a_person(self) -> None:
        """TRAPS 14, 15: nothing has a meaning in the human text."""
        for text in (
            'Mailbox is "almost full',
            ":(",
            ":)",
            "[",
            "[]",
            '"',
            "{5}",
            "{-5}",
            "{99999999999}",
            "{1_000}",
            "{abc}",
            "{12+}",
            "(" * 1000,
            "[CAPABILITY AUTH=PLAIN",
            "* 5 EXISTS",
        ):
            self.check(
                {
                    f"* OK {text}".encode(): StatusResponse(status=Status.OK, text=text),
                    f"* NO [ALERT] {text}".encode(): StatusResponse(
                        status=Status.NO, code=Code("ALERT"), text=text
                    ),
                    f"A1 BAD {text}".encode(): Tagged(tag="A1", status=Status.BAD, text=text),
                }
            )

    def test_text_is_tamed(self) -> None:
        """A server's words are one harmless line of a bounded length."""
        response = said(b"* BYE \x1b[2J" + "\u202ebad\u2028".encode() + b"\xff\r" + b"x" * 9000)
        assert isinstance(response, StatusResponse)
        self.assertTrue(response.text.startswith("[2Jbad\ufffd x"), response.text[:20])
        self.assertLessEqual(len(response.text), 1024)

    def test_continuations(self) -> None:
        """``+`` with a challenge, a text, or nothing."""
        challenge = b"eyJzdGF0dXMiOiI0MDAifQ==" * 100
        self.check(
            {
                b"+": Continuation(),
                b"+ ": Continuation(),
                b"+ idling": Continuation(text="idling"),
                b"+OK go ahead": Continuation(text="OK go ahead"),
                b"+ " + challenge: Continuation(text=challenge.decode()),
            }
        )

    def test_other_protocols(self) -> None:
        """TRAPS 16: the banner of another service is named, and no exception."""
        for data in (
            b"220 mx.example.org ESMTP",
            b"HTTP/1.1 400 Bad Request",
            b"[COPYUID 124 10 233]",
            b"A1 OK-ISH",
            b"*",
            b"* ",
            b"*OK",
            b'* "OK"',
            b"\x16\x03\x01",
        ):
            self.assertEqual(said(data), Unparsed(kind="", raw=data))

    def test_capabilities_are_shared(self) -> None:
        """A thousand connections that hear the same list keep one; an endless one is not kept."""
        line = b"* CAPABILITY " + b" ".join(b"X-%d" % number for number in range(60))
        first, again = parse((line,)), parse((line.lower(),))
        assert isinstance(first, Capabilities) and isinstance(again, Capabilities)
        self.assertIs(first.names, again.names)
        line += b" " + b" ".join(b"Y-%d" % number for number in range(60))
        first, again = parse((line,)), parse((line,))
        assert isinstance(first, Capabilities) and isinstance(again, Capabilities)
        self.assertIsNot(first.names, again.names)

    def test_capabilities_and_enabled(self) -> None:
        """Capabilities are upper case, whatever the server wrote."""
        self.check(
            {
                b"* CAPABILITY IMAP4rev1 Idle auth=plain": Capabilities(
                    names=frozenset({"IMAP4REV1", "IDLE", "AUTH=PLAIN"})
                ),
                b"* ENABLED condstore": Enabled(names=frozenset({"CONDSTORE"})),
                b"* ENABLED": Enabled(names=frozenset()),
            }
        )

    def test_flags(self) -> None:
        """Flags may have brackets, and may lack their parentheses."""
        flags = ("\\Seen", "a[1]", "[b]", "c]", "$Größe")
        for data in (b"* FLAGS (%s)", b"* flags %s "):
            self.assertEqual(said(data % " ".join(flags).encode()), Flags(flags=flags))

    def test_search(self) -> None:
        """SEARCH and SORT keep the server's order; nothing found is a result too."""
        self.check(
            {
                b"* SEARCH": SearchResult(numbers=()),
                b"* search 3 1  2 ": SearchResult(numbers=(3, 1, 2)),
                b"* SORT 2 1": SearchResult(numbers=(2, 1)),
                b"* SEARCH 2 5 (MODSEQ 917162500)": SearchResult(numbers=(2, 5), modseq=917162500),
            }
        )
        for data in (
            b"* SEARCH 1_000",
            b"* SEARCH +1",
            b"* SEARCH 4294967296",
            b"* SEARCH " + b"9" * 5000,
            b"* SEARCH {1}\r\n1",
        ):
            self.assertIsInstance(said(data), Unparsed)

    def test_half_a_million_found(self) -> None:
        """TRAPS 3: a SEARCH of 500,000 messages is one result."""
        uids = tuple(range(1_000_001, 1_500_001))
        data = b"* SEARCH " + " ".join(map(str, uids)).encode()
        self.assertEqual(said(data), SearchResult(numbers=uids))
        self.assertIsInstance(said(data + b" 1"), Unparsed)

    def test_lines_that_would_hold_the_reactor(self) -> None:
        """A line of 8 MB, whatever it says, takes no longer than the longest honest one."""
        megabytes = 8 * 1024 * 1024 - 64
        for head, piece in (
            (b"* SEARCH ", b"1 "),
            (b"* SEARCH ", b"4000000000 "),
            (b"* SEARCH ", b"1  \t "),
            (b"* SEARCH ", b"9"),
            (b"* SEARCH ", b"0000000 "),
            (b"* SEARCH ", b" "),
            (b"* SEARCH ", b"1 ("),
            (b"* SORT ", b"1 "),
            (b'* ESEARCH (TAG "A1") UID ALL ', b"1,"),
            (b'* ESEARCH (TAG "A1") UID ', b"ALL 1 "),
            (b"* VANISHED ", b"1:2,"),
            (b"* VANISHED (EARLIER) ", b"4000000000:4000000001,"),
        ):
            data = head + piece * (megabytes // len(piece))
            spent = min(_seconds_of(data) for _ in range(3))
            self.assertLess(spent, MOST_PARSING_SECONDS, head + piece)

    def test_esearch(self) -> None:
        """ESEARCH: all of its items, or none (RFC 4731)."""
        self.check(
            {
                b'* ESEARCH (TAG "A7") UID MIN 7 MAX 3800 ALL 7,300:310 COUNT 12 MODSEQ 9': (
                    ESearchResult(
                        tag="A7",
                        is_uid=True,
                        minimum=7,
                        maximum=3800,
                        count=12,
                        everything=NumberSet(((7, 7), (300, 310))),
                        modseq=9,
                    )
                ),
                b"* ESEARCH": ESearchResult(),
                b"* esearch uid count 0": ESearchResult(is_uid=True, count=0),
                b"* ESEARCH (FOO) COUNT 1": ESearchResult(count=1),
                b"* ESEARCH (tag A1) FOO (1 2) ODD": ESearchResult(tag="A1"),
            }
        )
        self.assertIsInstance(said(b"* ESEARCH COUNT x"), Unparsed)
        self.assertIsInstance(said(b"* ESEARCH ALL " + b"1," * 40_000 + b"1"), Unparsed)

    def test_id(self) -> None:
        """ID: names in lower case, values cleaned (RFC 2971)."""
        self.check(
            {
                b'* ID ("Name" "Cy\x1brus" "os" NIL "odd")': Id(
                    fields={"name": "Cyrus", "os": None}
                ),
                b"* ID NIL": Id(fields={}),
                b"* ID": Id(fields={}),
            }
        )

    def test_namespace(self) -> None:
        """NAMESPACE: prefixes decoded, NIL and missing lists are empty."""
        self.check(
            {
                b'* NAMESPACE (("" "/")("&APw-" NIL "X" ("Y"))) NIL (("#shared." "."))': Namespace(
                    personal=(
                        NamespaceEntry(prefix="", raw=b"", delimiter="/"),
                        NamespaceEntry(prefix="ü", raw=b"&APw-", delimiter=None),
                    ),
                    shared=(NamespaceEntry(prefix="#shared.", raw=b"#shared.", delimiter="."),),
                ),
                b"* NAMESPACE": Namespace(),
                b'* NAMESPACE (("x")) (odd ()) oddity': Namespace(
                    personal=(NamespaceEntry(prefix="x", raw=b"x", delimiter=None),)
                ),
            }
        )

    def test_status_items(self) -> None:
        """STATUS: numbers by name; what is NIL was not said."""
        self.check(
            {
                b'* STATUS "a b" (messages 4 unseen NIL UIDNEXT 9)': MailboxItems(
                    name="a b", raw=b"a b", items={"MESSAGES": 4, "UIDNEXT": 9}
                ),
                b"* STATUS two words (HIGHESTMODSEQ (7) )": MailboxItems(
                    name="two words", raw=b"two words", items={"HIGHESTMODSEQ": 7}
                ),
                b"* STATUS {5}\r\nINBOX (MAILBOXID (F22))": MailboxItems(
                    name="INBOX", raw=b"INBOX", items={}, mailbox_id="F22"
                ),
            }
        )
        for data in (
            b"* STATUS",
            b"* STATUS x",
            b"* STATUS (UIDNEXT 1)",
            b"* STATUS x (UIDNEXT y)",
        ):
            self.assertIsInstance(said(data), Unparsed)

    def test_unknown(self) -> None:
        """Responses of extensions that we do not know are named and clipped."""
        self.check(
            {
                b"* THREAD (2)(3 6)": Unparsed(kind="THREAD", raw=b"* THREAD (2)(3 6)"),
                b'* QUOTA "" (STORAGE 10 512)': Unparsed(
                    kind="QUOTA", raw=b'* QUOTA "" (STORAGE 10 512)'
                ),
            }
        )
        response = said(b"* " + b"x" * 9000)
        assert isinstance(response, Unparsed)
        self.assertEqual((len(response.kind), len(response.raw)), (32, 512))

    def test_megabytes(self) -> None:
        """PROMISES: 8 MiB of anything, in any kind of response, are read in a moment."""
        for kind in _KINDS:
            for piece in (
                b"(",
                b"()",
                b'"',
                b"\\",
                b"&APw-",
                b"a ",
                b"1,",
                b"&",
                b'" ',
                b"x",
                b"[a]",
            ):
                data = b"* 1 " if kind in ("FETCH", "EXISTS") else b"* "
                data += kind.encode() + b' () "/" ' * (kind == "LIST") + b" "
                start = time.thread_time()
                parse((data + piece * (8_000_000 // len(piece)),))
                self.assertLess(time.thread_time() - start, 0.5, (kind, piece))

    def test_too_complex(self) -> None:
        """TRAPS 20: what nests a thousand deep is passed over."""
        data = b"* 5 FETCH (UID 7 BODYSTRUCTURE " + b"(" * 1000 + b")" * 1001
        self.assertEqual(said(data), Unparsed(kind="FETCH", raw=data[:512]))


class CodeTests(SynchronousTestCase):
    """Response codes."""

    def code(self, text: bytes) -> Code | None:
        """The code of a status response with this text."""
        response = said(b"* OK " + text)
        assert isinstance(response, StatusResponse)
        return response.code

    def test_numbers(self) -> None:
        """The codes of EXAMINE are numbers; anything else has none."""
        for text, number in {
            b"[UIDVALIDITY 1700000000] UIDs valid": 1700000000,
            b"[uidnext  346 ]": 346,
            b"[HIGHESTMODSEQ 9223372036854775807]": 2**63 - 1,
            b"[UNSEEN x]": None,
            b"[UNSEEN " + b"9" * 5000 + b"]": None,
            b"[NOMODSEQ]": None,
            b'[UIDNEXT "5"]': None,
        }.items():
            code = self.code(text)
            assert code is not None
            self.assertEqual(code.number, number, text)

    def test_only_capability_speaks_of_capabilities(self) -> None:
        """TRAPS 23, 24: no other bracket, and none later in the text, is a list of them."""
        code = self.code(b"[Capability IMAP4rev1 AUTH=plain ] Yahoo")
        assert code is not None
        self.assertEqual(code.capabilities, {"IMAP4REV1", "AUTH=PLAIN"})
        alert = self.code(b"[ALERT] maintenance [CAPABILITY AUTH=INJECTED]")
        assert alert is not None
        self.assertIsNone(alert.capabilities)
        self.assertIsNone(self.code(b"The Microsoft Exchange IMAP4 service is ready. [TQBO==]"))
        odd = self.code(b"[TQBO==]")
        assert odd is not None
        self.assertIsNone(odd.capabilities)

    def test_flags(self) -> None:
        """PERMANENTFLAGS are flags, with brackets in them too."""
        code = self.code("[PERMANENTFLAGS (\\Deleted [x] $ü (y) \\*)] Limited".encode())
        assert code is not None
        self.assertEqual(code.flags, ("\\Deleted", "[x]", "$ü", "\\*"))
        self.assertEqual(Code("PERMANENTFLAGS").flags, ())

    def test_arguments(self) -> None:
        """Arguments are words, strings and lists."""
        for text, expected in {
            b"[COPYUID 1 304,319:320 3956:3958]": Code(
                "COPYUID", ("1", "304,319:320", "3956:3958")
            ),
            b'[BADCHARSET ("a]b" (US-ASCII))] x': Code("BADCHARSET", ((b"a]b", ("US-ASCII",)),)),
            b'[MYRIGHTS "acd]"] ACL': Code("MYRIGHTS", (b"acd]",)),
            b"[ODD (unclosed] text": Code("ODD", (("unclosed",),)),
            b'[Error="x y" Service=Imap4] done': Code("ERROR=", (b"x y", "Service=Imap4")),
            b"[LONG " + b"(a)" * 30_000 + b"] text": None,
            b"[DEEP " + b"(" * 300 + b"] text": Code("DEEP"),
        }.items():
            self.assertEqual(self.code(text), expected)

    def test_megabytes(self) -> None:
        """A code of a megabyte of anything takes no time to speak of."""
        for piece in (b"(", b'"', b'("', b"[", b'"(', b"\\", b"a ", b"((a", b')"'):
            start = time.process_time()
            said(b"* OK [X " + piece * (1_000_000 // len(piece)))
            said(b"* OK [X " + piece * (1_000_000 // len(piece)) + b"]")
            self.assertLess(time.process_time() - start, 2.0, piece)


class FetchTests(SynchronousTestCase):
    """FETCH responses."""

    def test_everything(self) -> None:
        """All items that we may ask for, in one response."""
        self.assertEqual(
            said(
                b"* 12 FETCH (UID 345 FLAGS (\\Seen $x) RFC822.SIZE 4321 MODSEQ (77) "
                b'INTERNALDATE "15-Jan-2024 10:20:31 +0100" EMAILID (M6d) THREADID (T64) '
                b'X-GM-MSGID 1278455344230334865 X-GM-THRID 9 X-GM-LABELS ("\\\\Inbox" &APw-) '
                b'ENVELOPE (NIL "s") BODYSTRUCTURE ("TEXT" "PLAIN" NIL 5) BODY[HEADER] {2}\r\n\r\n)'
            ),
            FetchData(
                seq=12,
                uid=345,
                flags=("\\Seen", "$x"),
                size=4321,
                modseq=77,
                received=datetime(2024, 1, 15, 9, 20, 31, tzinfo=UTC),
                email_id="M6d",
                thread_id="T64",
                gmail_message_id=1278455344230334865,
                gmail_thread_id=9,
                gmail_labels=("\\Inbox", "ü"),
                envelope=(None, b"s"),
                bodystructure=(b"TEXT", b"PLAIN", None, "5"),
                sections={"BODY[HEADER]": b"\r\n"},
            ),
        )

    def test_any_case(self) -> None:
        """TRAPS 8: items in lower case are the same items."""
        self.assertEqual(
            _fetched(b'* 1 fetch (uid 7 Flags (\\Seen) rfc822.size 44 body[header] "x")'),
            FetchData(seq=1, uid=7, flags=("\\Seen",), size=44, sections={"BODY[HEADER]": b"x"}),
        )

    def test_section_names(self) -> None:
        """A section has one name, however the server spells it."""
        for spelled in (
            b"BODY[HEADER.FIELDS (SUBJECT FROM)]",
            b"body[header.fields (subject from)]",
            b'BODY[HEADER.FIELDS ("Subject" "From")]',
            b"BODY[HEADER.FIELDS (SUBJECT FROM)]<0>",
            b"BODY.PEEK[HEADER.FIELDS  ( SUBJECT  FROM )]<0.100>",
            b"BODY[HEADER.FIELDS ({7}\r\nSubject FROM)]",
            b"BODY[HEADER.FIELDS ({7}\r\nSubject {4}\r\nFROM)]<0>",
        ):
            fetched = _fetched(b"* 1 FETCH (%s {3}\r\na\r\n UID 7)" % spelled)
            self.assertEqual(fetched.sections, {"BODY[HEADER.FIELDS (SUBJECT FROM)]": b"a\r\n"})
            self.assertEqual((fetched.uid, fetched.header), (7, b"a\r\n"))

    @given(st.lists(st.sampled_from(_USUAL)), st.sampled_from([b"", b"<0>"]))
    def test_any_spelling(self, items: list[bytes], partial: bytes) -> None:
        """Usual items say the same in any order, with odd blanks, and behind the header."""
        section = b"BODY[HEADER.FIELDS (FROM LIST-ID)]" + partial + b" {6}\r\na: b\r\n"
        usual = _fetched(b"* 12 FETCH (%b)" % b" ".join([*items, section]))
        self.assertEqual(usual.header, b"a: b\r\n")
        spelled = b"  ".join(items)
        self.assertEqual(_fetched(b"* 12 FETCH ( %b %b)" % (spelled, section)), usual)
        self.assertEqual(_fetched(b"* 12 FETCH (%b %b)" % (section, spelled)), usual)

    def test_quoted_number(self) -> None:
        """A number in quotes is a number."""
        self.assertEqual(_fetched(b'* 1 FETCH (RFC822.SIZE "44")').size, 44)

    def test_names_that_are_all_different(self) -> None:
        """A server cannot fill our memory with names of sections that it makes up."""
        tracemalloc.start()
        try:
            for n in range(50):
                name = b"BODY[%d%s]" % (n, b"x" * 100_000)
                fetched = _fetched(b'* 1 FETCH (%s "y" UID 7)' % name)
                self.assertEqual(fetched, FetchData(seq=1, uid=7))
            self.assertLess(tracemalloc.get_traced_memory()[0], 1_000_000)
        finally:
            tracemalloc.stop()

    def test_old_names(self) -> None:
        """RFC822 and its parts are sections too (RFC 3501 §6.4.5)."""
        fetched = _fetched(b'* 1 FETCH (RFC822.HEADER "h" RFC822.TEXT "t" rfc822 "r")')
        expected = {"BODY[HEADER]": b"h", "BODY[TEXT]": b"t", "BODY[]": b"r"}
        self.assertEqual(fetched.sections, expected)

    def test_poison(self) -> None:
        """TRAPS 7: NIL, ``<5>`` or a list instead of a body harms nothing else."""
        for body, expected in {b"NIL": None, b"<5>": b"<5>", b"17": b"17"}.items():
            fetched = _fetched(b"* 1 FETCH (BODY[HEADER] %s UID 7)" % body)
            self.assertEqual((fetched.header, fetched.uid), (expected, 7))
        fetched = _fetched(b"* 1 FETCH (BODY[HEADER] (1 2) UID 7)")
        self.assertEqual((fetched.sections, fetched.header, fetched.uid), ({}, None, 7))

    def test_batch_with_poison(self) -> None:
        """TRAPS 7: one unreadable message leaves the others of its batch readable."""
        data = b"".join(
            b"* %d FETCH (UID %d BODY[HEADER] %s)\r\n" % (n, n, b"NIL" if n == 2 else b'"x"')
            for n in range(1, 4)
        )
        fetched = [parse(each) for each in framed(data)]
        headers = [(each.uid, each.header) for each in fetched if isinstance(each, FetchData)]
        self.assertEqual(headers, [(1, b"x"), (2, None), (3, b"x")])

    def test_bytes_stay_bytes(self) -> None:
        """TRAPS 9: a header is given as the bytes that it is, quoted or literal."""
        header = "Subject: Grüße".encode() + b"\xff"
        for spelled in (b'"%s"' % header, b"{%d}\r\n%s" % (len(header), header)):
            self.assertEqual(_fetched(b"* 1 FETCH (BODY[HEADER] %s)" % spelled).header, header)

    def test_literal8_and_non_synchronising(self) -> None:
        """TRAPS 8: ``~{n}`` and ``{n+}`` are literals, and leave nothing behind."""
        for announced in (b"~{3}", b"{3+}", b"~{3+}"):
            fetched = _fetched(b"* 1 FETCH (UID 7 BINARY[1] %s\r\na\0b)" % announced)
            self.assertEqual(fetched, FetchData(seq=1, uid=7, sections={"BINARY[1]": b"a\0b"}))

    def test_what_cannot_be_read_was_not_said(self) -> None:
        """A bad item is as if it were not there, and the good ones count."""
        for item in (
            b"UID 0",
            b"UID x",
            b"UID 4294967296",
            b"UID (1 2)",
            b"FLAGS ((a))",
            b'INTERNALDATE "yesterday"',
            b'INTERNALDATE "31-Feb-2024 10:00:00 +0000"',
            b'INTERNALDATE "01-Jan-0001 00:00:00 +0100"',
            b'INTERNALDATE "01-Foo-2024 10:00:00 +0000"',
            b"INTERNALDATE (1)",
            b"RFC822.SIZE NIL",
            b"RFC822.SIZE -1",
            b"MODSEQ ()",
            b"EMAILID NIL",
            b"X-GM-LABELS ((a))",
            b"X-NEW (1 (2 3))",
            b"BINARY.SIZE[1] 5",
            b"BODY[" + b"x" * 3000 + b'] "y"',
        ):
            fetched = _fetched(b"* 1 FETCH (%s RFC822.SIZE 44)" % item)
            self.assertEqual(fetched, FetchData(seq=1, size=44), item)

    def test_dates(self) -> None:
        """INTERNALDATE with every zone, and without one, is a moment in UTC."""
        for text, expected in {
            b"15-Jan-2024 10:20:31 +0100": datetime(2024, 1, 15, 9, 20, 31, tzinfo=UTC),
            b" 5-feb-2024 01:02:03 -0330": datetime(2024, 2, 5, 4, 32, 3, tzinfo=UTC),
            b"31-Dec-2024 23:59:60 +0000": datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC),
            b"1-Mar-2024  1:02:03": datetime(2024, 3, 1, 1, 2, 3, tzinfo=UTC),
        }.items():
            fetched = _fetched(b'* 1 FETCH (INTERNALDATE "%s")' % text)
            self.assertEqual(fetched.received, expected)

    def test_odd_lists(self) -> None:
        """Lists around an item, closed too early, closed never, or empty."""
        self.assertEqual(
            _fetched(b"* 2 FETCH (UID 5 (ENVELOPE (NIL)) RFC822.SIZE 6)"),
            FetchData(seq=2, uid=5, envelope=(None,), size=6),
        )
        self.assertEqual(
            _fetched(b'* 2 FETCH (BODY[] "x") UID 5 FLAGS ())'),
            FetchData(seq=2, uid=5, flags=(), sections={"BODY[]": b"x"}),
        )
        self.assertEqual(
            _fetched(b"* 2 FETCH (UID 5 FLAGS (a"), FetchData(seq=2, uid=5, flags=("a",))
        )
        self.assertEqual(_fetched(b"* 2 FETCH (UID 5 )"), FetchData(seq=2, uid=5))
        self.assertEqual(_fetched(b"* 2 FETCH ()"), FetchData(seq=2))
        self.assertEqual(_fetched(b'* 2 FETCH ("odd" UID 5 UID)'), FetchData(seq=2, uid=5))
        self.assertEqual(_fetched(b"* 2 FETCH (UID 5 BODY[a"), FetchData(seq=2, uid=5))
        self.assertEqual(_fetched(b"* 2 FETCH (BODY[ ((a)) UID 5"), FetchData(seq=2, uid=5))

    def test_no_list(self) -> None:
        """A FETCH without a list says nothing."""
        for data in (b"* 9 FETCH", b"* 9 FETCH NIL", b"* 9 FETCH UID 5"):
            self.assertEqual(said(data), Unparsed(kind="FETCH", raw=data))

    def test_two_messages_with_one_number(self) -> None:
        """TRAPS 6: two responses stay two, though an EXPUNGE gave them one number."""
        first, second = framed(b"* 5 FETCH (UID 7)\r\n* 5 FETCH (UID 8)\r\n")
        self.assertEqual([parse(first), parse(second)], [
            FetchData(seq=5, uid=7), FetchData(seq=5, uid=8)
        ])  # fmt: skip

    def test_long_envelope(self) -> None:
        """TRAPS 3: an ENVELOPE with 600 recipients is a response like others."""
        recipients = b"".join(
            b'("Name %d" NIL "user%d" "example.org")' % (n, n) for n in range(600)
        )
        fetched = _fetched(b"* 1 FETCH (ENVELOPE (NIL NIL NIL NIL NIL (%s)) UID 7)" % recipients)
        assert isinstance(fetched.envelope, tuple)
        assert isinstance(fetched.envelope[5], tuple)
        self.assertEqual((len(fetched.envelope[5]), fetched.uid), (600, 7))


class ListTests(SynchronousTestCase):
    """LIST, LSUB and XLIST."""

    def test_names(self) -> None:
        """TRAPS 4, 5, 17: atoms with brackets and blanks, quotes, literals, any charset."""
        for spelled, name in {
            b"INBOX": "INBOX",
            b"[Gmail]/All": "[Gmail]/All",
            b"a.[b": "a.[b",
            b"Folder\\Sub folder 1": "Folder\\Sub folder 1",
            b'"with \\"quotes\\""': 'with "quotes"',
            b'"ends in backslash\\\\"': "ends in backslash\\",
            b'"say {5}"': "say {5}",
            b"{5}\r\nINBOX": "INBOX",
            b"{3}\r\na\r\n": "a\r\n",
            b"Entw&APw-rfe": "Entwürfe",
            b"&bad-": "&bad-",
            "Grüße".encode(): "Grüße",
            b'""': "",
            b'"never closed': "never closed",
            b"NIL": "NIL",
            b'foo ("CHILDINFO" ("SUBSCRIBED"))': "foo",
            b'"a b" ("OLDNAME" ({1}\r\nc))': "a b",
        }.items():
            _, found, raw = _listed(b'* LIST (\\HasNoChildren) "/" ' + spelled)
            self.assertEqual(found, name)
            self.assertNotIn(b"HasNoChildren", raw)

    def test_raw_name(self) -> None:
        """The raw name is what the server wrote, for the command that selects it."""
        for spelled, raw in {b"&bad-": b"&bad-", b'"\xfc"': b"\xfc", b'"a\\\\b"': b"a\\b"}.items():
            self.assertEqual(_listed(b'* LIST () "/" ' + spelled)[2], raw)

    def test_delimiters(self) -> None:
        """TRAPS 17: NIL, none, a backslash right and wrong, bare, and as a literal."""
        for spelled, delimiter in {
            b'"/"': "/",
            b'"."': ".",
            b"NIL": None,
            b"nil": None,
            b'""': None,
            b'"\\\\"': "\\",
            b'"\\"': "\\",
            b'"\\""': '"',
            b"/": "/",
            b"{1}\r\n/": "/",
        }.items():
            for name in (b"x y", b'"x y"', b"{3}\r\nx y"):
                if not (b"{" in spelled and name == b"x y"):
                    found = _listed(b"* LIST () %s %s" % (spelled, name))
                    self.assertEqual(found, (delimiter, "x y", b"x y"))

    def test_attributes(self) -> None:
        """Attributes are in lower case; a lone backslash is none."""
        for data in (b'* XLIST (\\HasNoChildren \\) "." a', b"* LSUB (\\hasNOchildren) NIL a"):
            response = said(data)
            assert isinstance(response, ListItem)
            self.assertEqual(response.attributes, {"\\hasnochildren"})

    def test_not_a_mailbox(self) -> None:
        """TRAPS 17: one bad line is passed over, and the others of the list count."""
        for data in (
            b"* LIST",
            b"* LIST ()",
            b'* LIST () "/"',
            b'* LIST () "/" ',
            b"* LIST () NIL ()",
        ):
            response = said(data)
            if isinstance(response, ListItem):
                self.assertEqual(response.raw, b"()")  # an atom of odd letters, at worst
            else:
                self.assertIsInstance(response, Unparsed)


class TranscriptTests(SynchronousTestCase):
    """What real servers say."""

    def test_nothing_is_left_unparsed(self) -> None:
        """Of real servers everything is understood; Exchange 2013 forgets its OK once."""
        for server, data in transcripts().items():
            left = [each for each in map(parse, framed(data)) if isinstance(each, Unparsed)]
            expected = {"exchange": 1, "untidy": 18}.get(server, 0)
            self.assertEqual(len(left), expected, f"{server}: {left}")

    def test_headers_arrive_whole(self) -> None:
        """Every server's new message has its UID and its header, byte for byte."""
        for server, data in transcripts().items():
            if server not in ("domino", "untidy"):
                fetched = [each for each in map(parse, framed(data)) if isinstance(each, FetchData)]
                headers = {each.header for each in fetched if each.uid and each.header}
                self.assertEqual(headers - {_HEADER}, set(), server)
                self.assertIn(_HEADER, headers, server)

    def test_lf_alone(self) -> None:
        """A server that ends its lines with LF alone says the same."""
        for server, data in transcripts().items():
            if b"}" not in data:
                whole = list(map(parse, framed(data)))
                bare = list(map(parse, framed(data.replace(b"\r\n", b"\n"))))
                self.assertEqual(bare, whole, server)


class HostileTests(SynchronousTestCase):
    """Whatever comes, a value comes out."""

    @given(st.lists(st.binary(max_size=80), min_size=1, max_size=5))
    def test_anything(self, parts: list[bytes]) -> None:
        """Arbitrary parts are some response."""
        self.assertIsInstance(parse(tuple(parts)), Response)

    @given(st.sampled_from(_KINDS), st.lists(st.sampled_from(_PIECES), max_size=25), st.booleans())
    def test_almost_right(self, kind: str, pieces: list[str], is_counted: bool) -> None:
        """What is nearly a response is some response, or none."""
        data = f"* {'5 ' if is_counted else ''}{kind} {''.join(pieces)}\r\n"
        framer = Framer()
        framer.receive(data.encode())
        for each in framer.received():
            self.assertIsInstance(parse(each), Response)


class NumberSetTests(SynchronousTestCase):
    """Sets of numbers."""

    def test_contents(self) -> None:
        """A set knows what is in it, how much, and can be gone through."""
        numbers = NumberSet(((1, 3), (7, 7)))
        self.assertEqual((list(numbers), len(numbers)), ([1, 2, 3, 7], 4))
        self.assertEqual([n for n in range(9) if n in numbers], [1, 2, 3, 7])

    def test_hostile_range(self) -> None:
        """All UIDs there can be cost one pair."""
        vanished = said(b"* VANISHED 1:4294967295")
        assert isinstance(vanished, Vanished)
        self.assertEqual(len(vanished.uids), 2**32 - 1)
        self.assertIn(2**31, vanished.uids)
