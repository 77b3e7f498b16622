"""Servers whose mailboxes change under the watcher: UIDVALIDITY, UIDNEXT, UIDs."""

from __future__ import annotations

from collections.abc import Callable

from tests.imap.hostile.faults import meanwhile, say, silence, swap, without_data
from tests.imap.hostile.server import Box, Fault
from tests.imap.hostile.simulation import LATER, USUAL, Behaviour, letters

NO_UIDNEXT = swap(rb"\* OK \[UIDNEXT[^\n]*\n", b"")
NO_UIDVALIDITY = swap(rb"\* OK \[UIDVALIDITY[^\n]*\n", b"")


def renewed(uidvalidity: int, *more: bytes, first_uid: int = 1) -> Callable[[Box], None]:
    """The mailbox is rebuilt with what it had and these, and all connections end."""

    def happens(box: Box) -> None:
        box.renew(uidvalidity, *box.letters.values(), *more, first_uid=first_uid)
        box.hang_up()

    return happens


def number_flaps() -> Callable[[object], bytes]:
    """UIDVALIDITY is another one at every second look."""
    numbers = iter([7, 9] * 1000)
    return lambda found: b"[UIDVALIDITY %d]" % next(numbers)


def hang_up(box: Box) -> None:
    """All connections end."""
    box.hang_up()


def jump(uid: int) -> Callable[[Box], None]:
    """A letter arrives far above all others."""
    return lambda box: box.add(b"far %d" % uid, uid=uid)


EXAMINE = (
    Behaviour(
        name="EXAMINE gets no answer",
        seen="imapflow 14: mailboxOpen() never settles",
        faults=(Fault(step="EXAMINE", act=silence, times=1),),
        events=LATER,
        connections=2,
    ),
    Behaviour(
        name="EXAMINE is refused for a while",
        seen="Dovecot: 'NO [UNAVAILABLE] Mailbox is locked'",
        faults=(Fault(step="EXAMINE", act=say(b"TAG NO [INUSE] Mailbox is locked\r\n"), times=3),),
        events=LATER,
        connections=4,
        complaint="Mailbox is locked",
    ),
    Behaviour(
        name="there is no such mailbox",
        seen="a typing error in the configuration",
        faults=(Fault(step="EXAMINE", act=say(b"TAG NO [NONEXISTENT] no such mailbox\r\n")),),
        is_blind=True,
        connections=17,
        complaint="no such mailbox",
    ),
    Behaviour(
        name="EXAMINE tells nothing",
        seen="home-made servers",
        faults=(Fault(step="EXAMINE", act=without_data(), times=1),),
        connections=2,
    ),
    Behaviour(
        name="EXAMINE tells of EXISTS last and twice",
        seen="RFC 9051 7: data may come in any order, and again",
        faults=(
            Fault(
                step="EXAMINE",
                act=swap(rb"(\* \d+ EXISTS\r\n)((?s:.*?))(?=\S+ OK \[READ)", rb"\1\2\1"),
            ),
        ),
    ),
    Behaviour(
        name="EXAMINE gives write access",
        seen="servers that know only SELECT",
        faults=(Fault(step="EXAMINE", act=swap(rb"READ-ONLY", b"READ-WRITE")),),
    ),
)

UIDNEXT = (
    Behaviour(
        name="UIDNEXT is missing",
        seen="sync-engine 78: Dreamhost",
        faults=(Fault(step="EXAMINE", act=NO_UIDNEXT),),
    ),
    Behaviour(
        name="UIDNEXT is missing and STATUS is empty",
        seen="chatmail 5049: mail.163.com",
        faults=(
            Fault(step="EXAMINE", act=NO_UIDNEXT),
            Fault(step="STATUS", act=swap(rb"\(UIDNEXT[^)]*\)", b"()")),
        ),
    ),
    Behaviour(
        name="UIDNEXT is missing and STATUS is refused",
        seen="RFC 9051 6.3.11: STATUS of the open mailbox is discouraged",
        faults=(
            Fault(step="EXAMINE", act=NO_UIDNEXT),
            Fault(step="STATUS", act=say(b"TAG BAD mailbox is selected\r\n")),
        ),
    ),
    Behaviour(
        name="UIDNEXT is too low",
        seen="chatmail 2188: GMX rewinds UIDNEXT; the last of the old would be new",
        faults=(Fault(step="EXAMINE", act=swap(rb"UIDNEXT \d+", b"UIDNEXT 2")),),
    ),
    Behaviour(
        name="UIDNEXT is too low and may be right",
        seen="the same, in a mailbox whose UIDs have a hole: EXISTS does not give it away",
        prepare=lambda box: [box.add(b"old 3", uid=500 + n) for n in range(20)],
        faults=(Fault(step="EXAMINE", act=swap(rb"UIDNEXT \d+", b"UIDNEXT 400"), times=1),),
    ),
    Behaviour(
        name="UIDNEXT is too low by far",
        seen="the same, in a mailbox that has more than one batch",
        prepare=lambda box: [box.add(b"old 3", uid=5000 + n) for n in range(700)],
        faults=(Fault(step="EXAMINE", act=swap(rb"UIDNEXT \d+", b"UIDNEXT 4000"), times=1),),
    ),
    Behaviour(
        name="UIDNEXT is 0 everywhere",
        seen="servers that cannot count; at first sight it would make all mail new",
        faults=(Fault(step="*", act=swap(rb"UIDNEXT \d+", b"UIDNEXT 0")),),
    ),
    Behaviour(
        name="UIDNEXT is 1 always",
        seen="home-made servers",
        faults=(Fault(step="EXAMINE", act=swap(rb"UIDNEXT \d+", b"UIDNEXT 1")),),
    ),
    Behaviour(
        name="UIDNEXT is far too high after the first time",
        seen="bichon 342: Yahoo's is ahead by 420,000",
        faults=(Fault(step="EXAMINE", act=swap(rb"UIDNEXT \d+", b"UIDNEXT 420000"), skip=1),),
        events=(*USUAL, (500.0, hang_up), (1300.0, hang_up), (1301.0, letters("five"))),
        connections=3,
        late_seconds=2.0,
    ),
    Behaviour(
        name="UIDNEXT is beyond 32 bits",
        seen="fuzzing",
        faults=(Fault(step="EXAMINE", act=swap(rb"UIDNEXT \d+", b"UIDNEXT 99999999999"), skip=1),),
        events=(*USUAL, (500.0, hang_up)),
        connections=2,
    ),
    Behaviour(
        name="the trailing letters are gone and UIDNEXT is ahead",
        seen="bichon 341: refused to go on for ever",
        prepare=lambda box: box.add(b"gone 1", b"gone 2") or box.remove(3, 4),  # type: ignore[func-returns-value]
    ),
)


def go_back(box: Box) -> None:
    """The letter with the highest UID is lost, and so is the memory of it."""
    del box.letters[500]
    box.uidnext = 10
    box.add(b"below")
    box.hang_up()


def restored(*subjects: bytes) -> Callable[[Box], None]:
    """A backup without "two" and "three"; these came to it, and all connections end."""

    def happens(box: Box) -> None:
        del box.letters[4], box.letters[5]
        box.uidnext = 4
        box.add(*subjects)
        box.hang_up()

    return happens


UIDVALIDITY = (
    *(
        Behaviour(
            name=f"a restored backup gives out UIDs anew to {len(subjects)} letters",
            seen="PROMISES: UID reuse; two letters were lost with the disk",
            events=(
                *USUAL[:2],
                (500.0, restored(*(subject.encode() for subject in subjects))),
                (1000.0, letters("after")),
            ),
            connections=2,
            late_seconds=2.0,
        )
        for subjects in (("a",), ("a", "b"), ("a", "b", "c", "d"))
    ),
    Behaviour(
        name="UIDNEXT goes back below what was read",
        seen="chatmail 2188: GMX; PROMISES: UIDs below the cursor",
        events=(*USUAL, (1100.0, jump(500)), (1200.0, go_back), (1300.0, letters("five"))),
        connections=2,
        late_seconds=2.0,
    ),
    Behaviour(
        name="UIDNEXT lags behind at some logins",
        seen="replicas that are not in step: nothing may come twice",
        faults=(
            Fault(
                step="EXAMINE",
                act=swap(rb"UIDNEXT (\d+)", lambda m: b"UIDNEXT %d" % (int(m[1]) - 2)),
                skip=1,
                times=1,
            ),
        ),
        prepare=lambda box: box.remove(1),
        events=(*USUAL, (500.0, lambda box: (box.remove(2), box.hang_up()))),
        connections=2,
    ),
    Behaviour(
        name="UIDVALIDITY is missing",
        seen="modern-email defects 52",
        faults=(
            Fault(step="EXAMINE", act=NO_UIDVALIDITY),
            Fault(step="STATUS", act=swap(rb"UIDVALIDITY \d+", b"")),
        ),
        events=(*USUAL, (500.0, hang_up)),
        connections=2,
    ),
    Behaviour(
        name="UIDVALIDITY is 0",
        seen="himalaya 626, cyrus-imapd 808",
        faults=(Fault(step="*", act=swap(rb"UIDVALIDITY \d+", b"UIDVALIDITY 0")),),
        events=(*USUAL, (500.0, hang_up)),
        connections=2,
    ),
    Behaviour(
        name="UIDVALIDITY changes and all UIDs are other ones",
        seen="K-9 1074: everything is downloaded again",
        events=(*USUAL, (500.0, renewed(8, first_uid=1000)), (600.0, letters("five"))),
        connections=2,
    ),
    Behaviour(
        name="UIDVALIDITY changes and UIDs begin anew",
        seen="Proton Bridge (offlineimap 633)",
        events=(*USUAL, (500.0, renewed(8)), (600.0, letters("five"))),
        connections=2,
    ),
    Behaviour(
        name="UIDVALIDITY goes back",
        seen="a restored backup",
        events=(*USUAL, (500.0, renewed(3)), (600.0, letters("five"))),
        connections=2,
    ),
    Behaviour(
        name="UIDVALIDITY changes while the mailbox is open",
        seen="imapflow: cursors of the old one are used on",
        faults=(
            Fault(step="NOOP", act=swap(rb"^", b"* OK [UIDVALIDITY 8] new\r\n"), skip=5, times=1),
        ),
        events=(*USUAL, (305.0, lambda box: box.renew(8))),
        connections=3,
    ),
    Behaviour(
        name="UIDVALIDITY is repeated while the mailbox is open",
        seen="Dovecot after SELECT of the same",
        faults=(Fault(step="NOOP", act=swap(rb"^", b"* OK [UIDVALIDITY 7] same\r\n")),),
    ),
)

UIDS = (
    Behaviour(
        name="UIDs jump to the end of their range",
        seen="PROMISES: 2^32-2",
        events=(*USUAL, (1200.0, jump(2**32 - 2)), (1500.0, jump(2**32 - 1))),
    ),
    Behaviour(
        name="UIDs have holes",
        seen="php-imap 199: numbers taken for UIDs",
        events=((20.0, jump(500)), (40.0, letters("two")), (60.0, lambda box: box.remove(500))),
    ),
    Behaviour(
        name="a letter is gone before it can be fetched",
        seen="rules on the server that move mail at once",
        faults=(
            Fault(
                step="news",
                act=meanwhile(lambda server: server.box.letters.pop(3, None)),
                times=1,
            ),
        ),
        subjects=("two", "three", "four"),
    ),
    Behaviour(
        name="letters are removed while others arrive",
        seen="mail-api: sequence numbers slip",
        events=(
            (10.0, letters("one", "two")),
            (20.0, lambda box: box.remove(1)),
            (20.5, letters("three")),
            (30.0, lambda box: (box.remove(3), box.add(b"four"))),
            (40.0, lambda box: (box.add(b"five"), box.remove(2, 4))),
            (50.0, letters("six")),
        ),
    ),
    Behaviour(
        name="the mailbox is emptied and filled again",
        seen="POP3 clients next to us",
        events=(
            (10.0, letters("one")),
            (20.0, lambda box: box.remove(*box.letters)),
            (30.0, letters("two")),
            (40.0, lambda box: box.remove(*box.letters)),
            (700.0, letters("three")),
        ),
    ),
    Behaviour(
        name="an empty mailbox from the start",
        seen="a new account",
        prepare=lambda box: box.remove(*box.letters),
    ),
    Behaviour(
        name="an empty mailbox without UIDNEXT",
        seen="163.com and a new account",
        prepare=lambda box: (box.remove(*box.letters), setattr(box, "uidnext", 1)),
        faults=(
            Fault(step="EXAMINE", act=NO_UIDNEXT),
            Fault(step="STATUS", act=say(b"TAG BAD no\r\n")),
        ),
    ),
    Behaviour(
        name="10,000 letters at once",
        seen="a migration",
        events=((20.0, letters(*(f"no {n}" for n in range(10_000)))),),
        late_seconds=5.0,
        growth_bytes=64 * 1024 * 1024,
    ),
    *(
        Behaviour(
            name=f"a mailbox called {name!r}",
            seen=seen,
            prepare=lambda box, name=name: setattr(box, "name", name),
        )
        for name, seen in {
            'Say "Hello" \\ ': "S22.Imap 12",
            "Entwürfe/日本": "RFC 3501 5.1.3",
            "[Gmail]/All Mail": "TRAPS 5",
            "{5}": "what looks like a literal",
            "200": "vandelay 26",
        }.items()
    ),
    Behaviour(
        name="a mailbox whose name is a command",
        seen="TRAPS 28: injection",
        prepare=lambda box: setattr(box, "name", "INBOX\r\nX DELETE INBOX"),
        is_blind=True,
        connections=17,
    ),
)

BEHAVIOURS = EXAMINE + UIDNEXT + UIDVALIDITY + UIDS
