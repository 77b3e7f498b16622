"""How often one address may try to be let in; the time is an argument.

Two measures against guessing. Each failure of an address is answered later than
the one before, from 2 to 15 seconds, as Dovecot does. And no more than ten attempts
within a minute reach the hash, so that many connections at once gain nothing.

Only the address that fails pays: others are counted by themselves, and one that
succeeded is counted no more. An IPv6 client owns a whole /64 and counts as one.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from ipaddress import IPv6Address, ip_address
from typing import Final

MOST_TRIES: Final = 10
WINDOW_SECONDS: Final = 60.0
DELAYS_SECONDS: Final = (2.0, 4.0, 8.0, 15.0)
FORGET_SECONDS: Final = 900.0
"""After this long without a failure, an address begins anew."""
_MOST_ADDRESSES: Final = 16_384
"""Some hundred bytes each; beyond, those that failed longest ago are forgotten."""


class _Record:
    __slots__ = ("failures", "last_failure", "tries")

    def __init__(self) -> None:
        self.tries: deque[float] = deque(maxlen=MOST_TRIES)
        self.failures = 0
        self.last_failure = 0.0


class Throttle:
    """The attempts of each address."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def may_try(self, address: str, now: float) -> bool:
        """Whether one more attempt may reach the hash; if so, it is counted."""
        tries = self._record(address, now).tries
        if len(tries) == MOST_TRIES and now - tries[0] < WINDOW_SECONDS:
            return False
        tries.append(now)
        return True

    def failed(self, address: str, now: float) -> float:
        """Note a failure; return after how many seconds it is to be answered."""
        record = self._record(address, now)
        delay = DELAYS_SECONDS[min(record.failures, len(DELAYS_SECONDS) - 1)]
        record.failures += 1
        record.last_failure = now
        return delay

    def succeeded(self, address: str) -> None:
        """Take back the attempt that `may_try` counted: it was no guess."""
        record = self._records.get(network_of(address))
        if record is not None and record.tries:
            record.tries.pop()

    def _record(self, address: str, now: float) -> _Record:
        network = network_of(address)
        record = self._records.pop(network, None)
        if record is None or (record.failures and now - record.last_failure > FORGET_SECONDS):
            record = _Record()
        self._records[network] = record  # the latest stands last
        if len(self._records) > _MOST_ADDRESSES:
            self._records.popitem(last=False)
        return record


def network_of(address: str) -> str:
    """What counts as one address: of IPv6 a /64, since that is what a client is given.

    So does all of loopback: whoever is on this machine has 127.0.0.0/8 to himself.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_loopback:
        return "loopback"
    return str(IPv6Address(int(ip) >> 64 << 64)) if isinstance(ip, IPv6Address) else str(ip)
