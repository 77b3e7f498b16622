"""Who gets a letter and who does not, counted while the replies come in.

Replies are matched to commands one by one, in their order. A refused MAIL is a
refusal for everybody, in its own words: what RCPT is told after it is only an
echo. A reply that is out of step with a group of commands (503 where all before
was well, RFC 2920) says nothing against a recipient: it is kept as "no answer"
for that one (code -1), which no caller takes for lasting.
"""

from __future__ import annotations

from mailnotify.errors import Refusal, SubmissionFailed
from mailnotify.smtp.wire import Reply

#: What servers answer to a command that they do not expect where it stands.
_CODES = frozenset((500, 502, 503))
_STATUS = frozenset(("5.5.0", "5.5.1"))
_WORDS = ("synchroni", "pipelin")


class Tally:
    """The replies to one letter.

    Args:
        is_grouped: whether commands were written before the reply to the one before.

    Attributes:
        denied: the reply that refused MAIL.
        accepted: who was accepted so far.
        refusals: who was not.
        is_out_of_step: whether the server lost count in a group.
    """

    def __init__(self, recipients: tuple[str, ...], *, is_grouped: bool) -> None:
        self.denied: Reply | None = None
        self.accepted: list[str] = []
        self.refusals: list[Refusal] = []
        self.is_out_of_step = False
        self._recipients = recipients
        self._is_grouped = is_grouped

    @property
    def is_hopeless(self) -> bool:
        """Whether nobody can get the letter any more."""
        return len(self.refusals) == len(self._recipients)

    def take_mail(self, reply: Reply) -> None:
        """Count the reply to MAIL."""
        if not reply.is_positive:
            self.denied = reply
            self._refuse(self._recipients, reply)

    def take_rcpt(self, recipient: str, reply: Reply) -> None:
        """Count the reply to one RCPT."""
        if self.denied is not None:
            return
        if reply.is_positive:
            self.accepted.append(recipient)
        else:
            self._refuse((recipient,), reply)

    def take_refusal(self, reply: Reply, *, is_in_group: bool) -> None:
        """Count a refusal of the letter itself, or of DATA: one for all who were accepted."""
        self._is_grouped = is_in_group
        self._refuse(tuple(self.accepted), reply)
        self.accepted.clear()

    def failure(self, peer: str) -> SubmissionFailed:
        """The outcome if anybody was refused."""
        accepted, refusals = tuple(self.accepted), tuple(self.refusals)
        return SubmissionFailed(peer=peer, refusals=refusals, accepted=accepted)

    def _refuse(self, recipients: tuple[str, ...], reply: Reply) -> None:
        code, said = reply.code, reply.said
        if recipients and self._is_grouped and _is_out_of_step(reply):
            self.is_out_of_step = True
            code, said = -1, f"it lost count of commands in a group: {reply}"
        self.refusals += (
            Refusal(recipient=each, code=code, said=said, enhanced=reply.enhanced)
            for each in recipients
        )


def _is_out_of_step(reply: Reply) -> bool:
    if reply.code in _CODES or reply.enhanced in _STATUS:
        return True
    return reply.is_permanent and any(word in reply.said.lower() for word in _WORDS)
