"""What ``twistd`` offers of mailnotify: the service, a client, and sending."""

from twisted.application.service import ServiceMaker

mailnotify = ServiceMaker(
    "mailnotify",
    "mailnotify.taps.service",
    "Watch IMAP mailboxes and tell on TCP 5050 the moment mail arrives.",
    "mailnotify",
)
mailnotify_client = ServiceMaker(
    "mailnotify client",
    "mailnotify.taps.client",
    "Receive the alerts of a mailnotify service and show them on the desktop.",
    "mailnotify-client",
)
mailnotify_send = ServiceMaker(
    "mailnotify send",
    "mailnotify.taps.send",
    "Send one letter through the account's submission server.",
    "mailnotify-send",
)
