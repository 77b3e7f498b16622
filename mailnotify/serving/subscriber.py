"""One subscriber's side of the dialogue; still no transport.

`Subscriber` holds the peer and the feed (`mailnotify.serving.feeds`) of the stage, and
answers the frames. A stranger has no feed, is told nothing of the mail, and has an
`Admission` while he shows what he has. His connection (`mailnotify.serving.connection`)
brings bytes, and calls `pull` whenever there may be more to send and there is room for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Final, Protocol

from msgspec.structs import replace
from twisted.logger import Logger

from mailnotify import __version__
from mailnotify.access.door import Door
from mailnotify.config.schema import Limits
from mailnotify.core.badge import Badge
from mailnotify.core.events import Position
from mailnotify.core.frames import (
    Ack,
    Admitted,
    Auth,
    Code,
    Edge,
    Farewell,
    Hello,
    Part,
    Ping,
    Refused,
    Secured,
    Send,
    Since,
    StartTls,
    Subscribe,
    Subscribed,
    Welcome,
)
from mailnotify.core.wire import ServerPeer, Stage
from mailnotify.errors import JournalUnreadable
from mailnotify.hub import Hub
from mailnotify.serving.admission import Admission, Visitor
from mailnotify.serving.crowd import SomePlain
from mailnotify.serving.feeds import EventFeed, Feed, PlainFeed
from mailnotify.serving.readers import Claim, Readers
from mailnotify.serving.submission import NO_RIGHT, Post, Submission


class House(Protocol):
    """What all subscribers share."""

    hub: Hub
    limits: Limits
    node: str
    accounts: Collection[str]
    door: Door
    readers: Readers | None
    post: Post | None

    def admitted(self, caller: Any) -> None:
        """This connection is no stranger any more."""


class Line(Visitor, Protocol):
    """A subscriber's connection."""

    def step_out(self) -> None:
        """Leave the crowd, before the feed changes."""

    def take_leave(self, reason: Farewell) -> None:
        """Say why, and close."""


class Subscriber:
    """The dialogue with one subscriber.

    Args:
        house: what he shares with the others.
        line: his connection.

    Attributes:
        feed: what he is shown; None for a stranger, and while he has said what he is,
            but not what he wants.
    """

    __slots__ = (
        *("_admission", "_badge", "_claim", "_house", "_line", "_submission"),
        *("feed", "peer"),
    )

    _log = Logger()

    def __init__(self, house: House, line: Line) -> None:
        self._house = house
        self._line = line
        self._badge: Badge | None = None
        self._admission: Admission | None = None
        self._claim: Claim | None = None
        self._submission: Submission | None = None
        self.feed: Feed | None = None
        self.peer = ServerPeer(house.limits.line_bytes)

    @property
    def is_stranger(self) -> bool:
        """Whether he has not been let in."""
        return self._badge is None

    @property
    def is_owing(self) -> bool:
        """Whether he has to say something soon: who he is, or what he is here for."""
        is_sending = self._submission is not None and self._submission.has_begun
        return self.is_stranger or (self.peer.stage is Stage.GREETED and not is_sending)

    @property
    def is_unfinished(self) -> bool:
        """Whether he has begun a letter that is not all there."""
        return self._submission is not None and self._submission.is_unfinished

    def arrive(self) -> None:
        """The connection stands: look whether the machine vouches for him."""
        badge = self._house.door.recognise(self._line)
        if badge is not None:
            self._let_in(badge)

    def leave(self) -> None:
        """The connection is gone, or nothing of the dialogue counts any more."""
        if self._admission is not None:
            self._admission.cancel()
        if self._submission is not None:
            self._submission.cancel()
        if self._claim is not None and self._house.readers is not None:
            self._house.readers.release(self._claim)
        if self._house.door.keeper is not None:
            self._house.door.keeper.release(self._line)

    def answer(self) -> bool:
        """Answer the lines received; return whether some had to wait (`ServerPeer.is_pausing`)."""
        try:
            for frame in self.peer.received():
                _ANSWERS[type(frame)](self, frame)
        except JournalUnreadable as damage:
            self._send_away(damage)
        return self.peer.is_pausing

    def pull(self) -> bool:
        """Send the next page through the peer; return whether there is more at once."""
        if self.feed is None or self.peer.stage is Stage.CLOSED:
            return False
        try:
            return self.feed.pull(self.peer)
        except JournalUnreadable as damage:
            self._send_away(damage)
            return False

    def ping(self) -> None:
        """Ask for a sign of life."""
        if self.feed is not None:
            self.feed.mark(self.peer)
        self.peer.send(Ping())

    def _send_away(self, damage: JournalUnreadable) -> None:
        self._log.error("a subscriber is sent away: {damage}", damage=damage)
        self.peer.close(Farewell.JOURNAL)

    # --- who he is --------------------------------------------------------------------

    def _let_in(self, badge: Badge) -> None:
        self._badge = badge
        if self.peer.stage is Stage.PLAIN:
            self.feed = self._plain_feed(badge)
        self._house.admitted(self._line)

    def _plain_feed(self, badge: Badge) -> PlainFeed | None:
        asked = badge.narrow(_ALL_MAIL)
        if asked is None:
            return None
        return PlainFeed(
            self._house.hub.reader(Edge.NOW), None if asked == _ALL_MAIL else SomePlain(asked)
        )

    def _authenticate(self, auth: Auth) -> None:
        if self._badge is not None and self._badge.token_id:
            self.peer.send(Refused(code=Code.STATE, reason="you are known already"))
            return
        if self._admission is None:
            self._admission = Admission(self._house.door, self._line, self.peer, self._admit)
        self._admission.ask(auth)

    def _admit(self, badge: Badge) -> None:
        self._line.step_out()
        self._admission = None
        if self._house.door.keeper is not None:
            revoke = partial(self._line.take_leave, Farewell.REVOKED)
            self._house.door.keeper.hold(self._line, badge, revoke)
        self._let_in(badge)
        hub = self._house.hub
        self.peer.send(
            Admitted(
                name=badge.name, epoch=hub.head.epoch, head=hub.head.seq, oldest=hub.oldest.seq + 1
            )
        )

    def _begin_tls(self, _asked: StartTls) -> None:
        if self._line.is_secure or self._house.door.tls is None:
            self.peer.send(Refused(code=Code.STATE, reason="STARTTLS is not offered here"))
        else:
            self.peer.send(Secured())

    # --- what he wants ----------------------------------------------------------------

    def _greet(self, _hello: Hello) -> None:
        house, door = self._house, self._house.door
        self.feed = None
        welcome = Welcome(
            server=f"mailnotify/{__version__}",
            node=house.node,
            epoch=house.hub.head.epoch,
            head=house.hub.head.seq,
            oldest=house.hub.oldest.seq + 1,
            ping_seconds=house.limits.ping_seconds,
            max_line=house.limits.line_bytes,
            auth=door.mechanisms(self._line),
            starttls=door.tls is not None and not self._line.is_secure,
        )
        if self.is_stranger:
            welcome = replace(welcome, server="mailnotify", node="", epoch="", head=0, oldest=1)
        self.peer.send(welcome)

    def _subscribe(self, asked: Subscribe) -> None:
        if self._badge is None:
            self.peer.send(SAY_AUTH)
            return
        allowed = self._badge.narrow(asked)
        if allowed is None:
            reason = f"nothing of that may be shown to {self._badge.name}"
            self.peer.send(Refused(code=Code.DENIED, reason=reason))
            return
        answer = partial(
            Subscribed,
            unknown=self._badge.strange(asked, self._house.accounts),
            unknown_kinds=self._badge.strange_kinds(asked),
        )
        if not asked.reader:
            self._feed_from(asked.since, allowed, answer)
        elif (refusal := self._claim_name(self._badge, asked.reader)) is not None:
            self.peer.send(refusal)
        else:
            self._feed_named(allowed, answer)

    def _feed_from(
        self, since: Since, allowed: Subscribe, answer: Callable[..., Subscribed]
    ) -> Position:
        reader = self._house.hub.reader(since)
        self.feed = EventFeed(reader, allowed)
        self.peer.send(answer(position=reader.position))
        return reader.position

    def _claim_name(self, badge: Badge, name: str) -> Refused | None:
        """Take the name over; return why that cannot be."""
        readers = self._house.readers
        if readers is None:
            return Refused(code=Code.READER, reason="no positions are kept here")
        if badge.is_read_only:
            return Refused(code=Code.DENIED, reason="your token may not keep a position here")
        send_away = partial(self._line.take_leave, Farewell.REPLACED)
        self._claim = readers.claim((badge.name, name), send_away)
        if self._claim is None:
            return Refused(code=Code.READER, reason="too many readers have a name already")
        return None

    def _feed_named(self, allowed: Subscribe, answer: Callable[..., Subscribed]) -> None:
        readers, claim = self._house.readers, self._claim
        assert readers is not None and claim is not None, "the name was claimed"
        if claim.seq is None:
            as_new = partial(answer, is_new=True)
            readers.begin(claim, self._feed_from(allowed.since, allowed, as_new))
        else:
            kept = Position(epoch=self._house.hub.head.epoch, seq=claim.seq)
            self._feed_from(kept, allowed, answer)

    def _acknowledge(self, ack: Ack) -> None:
        readers, feed = self._house.readers, self.feed
        if self._claim is None or readers is None or feed is None:
            self.peer.send(Refused(code=Code.READER, reason="SUBSCRIBE gave no reader's name"))
        elif ack.position.epoch != feed.position.epoch or ack.position.seq > feed.position.seq:
            self.peer.send(Refused(code=Code.READER, reason="that was not sent here"))
        else:
            readers.acknowledge(self._claim, ack.position.seq)

    # --- what he sends ----------------------------------------------------------------

    def _begin_letter(self, asked: Send) -> None:
        submission = self._sending()
        if self._badge is None:
            submission.refuse(SAY_AUTH)
        elif not self._house.door.may_send(self._line, self._badge):
            submission.refuse(NO_RIGHT)
        else:
            submission.begin(asked, self._badge)

    def _take_part(self, part: Part) -> None:
        self._sending().take(part)

    def _sending(self) -> Submission:
        if self._submission is None:
            self._submission = Submission(self._house.post, self._line, self.peer)
        return self._submission


SAY_AUTH: Final = Refused(code=Code.AUTH, reason="who are you? Say AUTH first")

_ALL_MAIL: Final = Subscribe(kinds=("mail",))
"""What plain lines are made of."""

_ANSWERS: Final[Mapping[type, Callable[[Subscriber, Any], None]]] = {
    Hello: Subscriber._greet,
    StartTls: Subscriber._begin_tls,
    Auth: Subscriber._authenticate,
    Subscribe: Subscriber._subscribe,
    Ack: Subscriber._acknowledge,
    Send: Subscriber._begin_letter,
    Part: Subscriber._take_part,
}
