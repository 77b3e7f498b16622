"""Delivers subjects to a real desktop, through the product's own sink; run as a process.

``python -m tests.live.desktop_run DEADLINE SUBJECT...`` prints the warnings of the log
and how long delivering and closing took, as one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from twisted.internet.task import react
from twisted.logger import LogLevel, globalLogBeginner

from mailnotify.sinks.desktop import DesktopSink
from mailnotify.sinks.notifier import desktop_notifier
from mailnotify.sinks.notifier_thread import NotifierThread
from tests.sinks.fakes import HERE, entry, mail


async def deliver(reactor: Any, deadline: str, *subjects: str) -> None:
    """Show each subject, then close."""
    events: list[Any] = []
    globalLogBeginner.beginLoggingTo([events.append], redirectStandardIO=False)
    notifier = desktop_notifier(sys.platform, os.environ)
    sink = DesktopSink(
        shower=NotifierThread(notifier, reactor.callFromThread),
        clock=reactor,
        deadline_seconds=float(deadline),
    )
    begun = time.monotonic()
    for subject in subjects:
        text = json.loads(subject)
        await sink.deliver(entry(event=mail(subject=text, sender=text)), HERE)
    delivered = time.monotonic()
    await sink.close()
    warnings = [each["reason"] for each in events if each["log_level"] is LogLevel.warn]
    print(
        json.dumps(
            {
                "warnings": warnings,
                "deliver_seconds": delivered - begun,
                "close_seconds": time.monotonic() - delivered,
            }
        )
    )


if __name__ == "__main__":
    react(deliver, sys.argv[1:])
