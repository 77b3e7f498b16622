"""What servers say when they let nobody in, and what it means."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.auth.verdict import GRANT_ADVICE, LONGEST_WAIT_SECONDS, Cause, judge, sounds_passing

# (who, the response code, the words, what it means): from the servers' sources, their
# documents, and what their users paste into the trackers of mail programs.
SAID = [
    ("Gmail", "AUTHENTICATIONFAILED", "Invalid credentials (Failure)", Cause.WRONG),
    (
        "Gmail",
        "ALERT",
        "Application-specific password required: "
        "https://support.google.com/accounts/answer/185833 (Failure)",
        Cause.APP_PASSWORD,
    ),
    ("Gmail", "WEBALERT", "Web login required.", Cause.WEB_LOGIN),
    (
        "Gmail",
        "ALERT",
        "Please log in via your web browser: "
        "https://support.google.com/mail/accounts/answer/78754 (Failure)",
        Cause.WEB_LOGIN,
    ),
    (
        "Gmail",
        "ALERT",
        "Your account is not enabled for IMAP use. Please visit your Gmail settings page and "
        "enable your account for IMAP access. (Failure)",
        Cause.SWITCHED_OFF,
    ),
    ("Gmail", "ALERT", "Too many simultaneous connections. (Failure)", Cause.BUSY),
    ("Gmail", "ALERT", "Account exceeded command or bandwidth limits. (Failure)", Cause.THROTTLED),
    ("Gmail", "OVERQUOTA", "Account exceeded bandwidth limits", Cause.FULL),
    ("Gmail", "ALERT", "System Error (Failure)", Cause.UNAVAILABLE),
    ("Gmail", "", "Lookup failed a3mb12345", Cause.UNAVAILABLE),
    ("Gmail", "THROTTLED", "", Cause.THROTTLED),
    ("Exchange", "", "LOGIN failed.", Cause.WRONG),
    ("Exchange", "", "AUTHENTICATE failed.", Cause.WRONG),
    ("Exchange", "", "User is authenticated but not connected.", Cause.UNAVAILABLE),
    ("Exchange", "", "Server Unavailable. 15", Cause.UNAVAILABLE),
    (
        "Exchange",
        "",
        "Request is throttled. Suggested Backoff Time: 299923 milliseconds",
        Cause.THROTTLED,
    ),
    ("Dovecot", "AUTHENTICATIONFAILED", "Authentication failed.", Cause.WRONG),
    ("Dovecot", "UNAVAILABLE", "Temporary authentication failure. [mx:2026]", Cause.UNAVAILABLE),
    (
        "Dovecot",
        "LIMIT",
        "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
        Cause.BUSY,
    ),
    ("Dovecot", "AUTHORIZATIONFAILED", "User is disabled.", Cause.NOT_ALLOWED),
    ("Dovecot", "EXPIRED", "Password expired.", Cause.EXPIRED),
    ("Dovecot", "INUSE", "Mailbox is locked, will abort in 10 seconds", Cause.BUSY),
    ("Dovecot", "SERVERBUG", "Internal error occurred. Refer to server log.", Cause.UNAVAILABLE),
    ("Dovecot", "CONTACTADMIN", "Ask us.", Cause.ADMIN),
    ("Yahoo", "AUTHENTICATIONFAILED", "LOGIN Invalid credentials", Cause.WRONG),
    (
        "Yahoo",
        "AUTHENTICATIONFAILED",
        "(#MBR1212) Incorrect username or password.",
        Cause.WRONG,
    ),
    ("Yahoo", "LIMIT", "LOGIN Rate limit hit", Cause.BUSY),
    ("Yahoo", "ALERT", "LOGIN Rate limit hit", Cause.THROTTLED),
    ("Yahoo", "UNAVAILABLE", "LOGIN Service temporarily unavailable", Cause.UNAVAILABLE),
    ("Yahoo", "", "Server error - Please try again later", Cause.UNAVAILABLE),
    (
        "Yandex",
        "AUTHENTICATIONFAILED",
        "LOGIN invalid credentials or IMAP is disabled sc=abc",
        Cause.WRONG,
    ),
    ("Yandex", "UNAVAILABLE", "LOGIN internal server error sc=abc", Cause.UNAVAILABLE),
    ("mail.ru", "AUTHENTICATIONFAILED", "Application password is REQUIRED", Cause.APP_PASSWORD),
    ("Cyrus", "", "Login failed: authentication failure", Cause.WRONG),
    ("Courier", "", "Login failed.", Cause.WRONG),
    ("Courier", "ALERT", "Maximum connection limit reached for user", Cause.BUSY),
    ("iCloud", "AUTHENTICATIONFAILED", "Authentication Failed", Cause.WRONG),
    ("Fastmail", "", "Incorrect username, password or access token", Cause.WRONG),
    (
        "QQ",
        "",
        "Login fail. Account is abnormal, service is not open, password is incorrect, login "
        "frequency limited, or system is busy.",
        Cause.WRONG,
    ),
    ("163", "", "LOGIN Login error or password error", Cause.WRONG),
    (
        "Zoho",
        "ALERT",
        "You are yet to enable IMAP for your account. Please contact your administrator (Failure)",
        Cause.SWITCHED_OFF,
    ),
    ("Proton Bridge", "", "too many login attempts, please try again later", Cause.THROTTLED),
    ("Zimbra", "", "account has been locked", Cause.NOT_ALLOWED),
    ("anybody", "OVERQUOTA", "Quota exceeded", Cause.FULL),
    ("anybody", "", "over quota", Cause.FULL),
    ("anybody", "", "", Cause.WRONG),
    ("anybody", "X-NEW", "no", Cause.WRONG),
]

# (who, whether the reply is a 4yz, the words, what it means)
SUBMISSION = [
    ("Gmail", False, "535 5.7.8 Username and Password not accepted.", Cause.WRONG),
    ("Gmail", False, "534 5.7.9 Application-specific password required.", Cause.APP_PASSWORD),
    ("Gmail", False, "534 5.7.14 Please log in via your web browser and", Cause.WEB_LOGIN),
    ("Gmail", True, "454 4.7.0 Too many login attempts, please try again later.", Cause.THROTTLED),
    (
        "Exchange",
        False,
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the "
        "Tenant.",
        Cause.SWITCHED_OFF,
    ),
    (
        "Exchange",
        False,
        "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
        Cause.SWITCHED_OFF,
    ),
    ("Exchange", False, "535 5.7.3 Authentication unsuccessful", Cause.WRONG),
    ("Exchange", True, "432 4.3.2 Concurrent connections limit exceeded.", Cause.BUSY),
    (
        "Postfix",
        True,
        "454 4.7.0 Temporary authentication failure: Connection lost",
        Cause.UNAVAILABLE,
    ),
    ("Postfix", False, "535 5.7.8 Error: authentication failed: UGFzc3dvcmQ6", Cause.WRONG),
    ("anybody", True, "421 4.7.0 password incorrect", Cause.UNAVAILABLE),
]


class JudgeTests(SynchronousTestCase):
    """`judge` reads a refused login."""

    def test_mail_servers(self) -> None:
        """What IMAP servers really say is taken for what they mean."""
        found = [(who, said, judge(said, code=code).cause) for who, code, said, _ in SAID]
        self.assertEqual(found, [(who, said, cause) for who, _, said, cause in SAID])

    def test_submission_servers(self) -> None:
        """And so are the replies of submission servers."""
        for who, is_temporary, said, cause in SUBMISSION:
            found = judge(said, is_temporary=is_temporary).cause
            self.assertIs(found, cause, (who, said))

    def test_what_passes(self) -> None:
        """A busy, throttled, unavailable or full server has judged no secret."""
        passing = {each for each in Cause if each.is_passing}
        expected = {Cause.UNAVAILABLE, Cause.BUSY, Cause.THROTTLED, Cause.FULL}
        self.assertEqual(passing, expected)

    def test_suggested_pause(self) -> None:
        """A server that names a time is given it, within reason."""
        words = "Request is throttled. Suggested Backoff Time: {} milliseconds"
        self.assertEqual(judge(words.format(299923)).wait_seconds, 299.923)
        self.assertEqual(judge(words.format("9" * 12)).wait_seconds, LONGEST_WAIT_SECONDS)
        self.assertIsNone(judge(words.format("9" * 13)).wait_seconds)
        self.assertIsNone(judge("throttled").wait_seconds)

    def test_advice(self) -> None:
        """What helps is told: for a token something else than for a password."""
        self.assertIn("app password", judge("app password needed").advice)
        self.assertEqual(judge("Authentication failed.").advice, "")
        self.assertEqual(judge("AUTHENTICATE failed.", has_token=True).advice, GRANT_ADVICE)
        self.assertIn("Switch it on", judge("IMAP is disabled", has_token=True).advice)

    def test_not_understood_or_not_now(self) -> None:
        """Exchange says "not now" with a BAD, and nothing else may be taken for that."""
        self.assertTrue(sounds_passing("User is authenticated but not connected."))
        self.assertFalse(sounds_passing("Command Argument Error. 12"))

    def test_hostile_words(self) -> None:
        """A text made to keep a pattern busy takes no time."""
        for word in ("too many ", "exceeded ", "maximum ", "log in to ", "password "):
            self.assertTrue(judge(word * 2000).cause)
