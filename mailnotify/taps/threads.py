"""Blocking calls that may hang: each in a daemon thread of its own.

The reactor's thread pool waits for its threads when the process ends; a
keyring that asks a sleeping desktop would then hold up the shutdown. Nobody
waits for a daemon thread. Secrets are asked for once per connection attempt,
so the number of threads is bounded by the number of watched mailboxes.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import ParamSpec, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def defer_to_daemon(
    reactor: IReactorFromThreads,
    call: Callable[_Given, _Result],
    *args: _Given.args,
    **kwargs: _Given.kwargs,
) -> Deferred[_Result]:
    """Call in a new daemon thread; the Deferred fires in the reactor's thread."""
    result: Deferred[_Result] = Deferred()

    def tell(fire: Callable[[], None]) -> None:
        reactor.callFromThread(lambda: None if result.called else fire())

    def run() -> None:
        try:
            value = call(*args, **kwargs)
        except Exception:
            failure = Failure()
            tell(lambda: result.errback(failure))
        else:
            tell(lambda: result.callback(value))

    Thread(target=run, daemon=True, name=getattr(call, "__name__", "call")).start()
    return result
