"""The sample document."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.fields import to_toml
from mailnotify.config.layout import sections
from mailnotify.config.sample import sample
from mailnotify.config.schema import (
    Limits,
    Listen,
    OAuthClient,
    OAuthProvider,
    Retention,
    Timing,
    TokenCommand,
)
from tests.config.documents import problems_of, read

_TLS = re.compile(r"^#\[listen\.tls\].*?(?=^# [^\n]*\n\[)", re.DOTALL | re.MULTILINE)
_OAUTH = re.compile(r"(?ms)^#\[accounts\.home\.oauth\].*?(?=^#?\[)")
"""The table of an alternative: it cannot stand beside a password."""


def _without_options(text: str) -> str:
    """A sample without the tables that only some need."""
    return _TLS.sub("", _OAUTH.sub("", text))


class SampleTests(SynchronousTestCase):
    """`sample` writes a document to begin with."""

    def test_it_is_a_configuration(self) -> None:
        """The document as it stands is valid, and every default in it is the default."""
        config = read(sample())
        self.assertEqual([each.name for each in config.accounts], ["home"])
        self.assertEqual(config.accounts[0].server.user, "ada@example.org")

    def test_every_default_may_be_uncommented(self) -> None:
        """With every default switched on, the values are those of an empty document."""
        text = re.sub(r"^#(?=[a-z_]+ = )", "", _without_options(sample()), flags=re.M)
        text = re.sub(r"^(provider|user|trust|sender|oauth) = .*$", "", text, flags=re.M)
        text = text.replace("#[accounts.home.submission]", "[accounts.home.submission]")
        config = read(text)
        self.assertEqual(
            (config.listen, config.limits, config.retention, config.accounts[0].timing),
            (Listen(), Limits(), Retention(), Timing()),
        )
        assert config.accounts[0].submission is not None

    def test_every_field_is_in_it(self) -> None:
        """Each key of each table is written, with its meaning above it."""
        text = sample()
        for section in sections():
            for field in section.fields:
                self.assertRegex(text, rf"(?m)^#?{field.name} = ")
                self.assertIn(field.description.split()[0], text)

    def test_alternatives_are_valid(self) -> None:
        """The commented provider, user and trust are what the document may say."""
        text = re.sub(r'^server = "imaps.*$', "", sample(), flags=re.M)
        text = re.sub(r"^#(?=provider|user)", "", _without_options(text), flags=re.M)
        self.assertEqual(problems_of(text), {})
        self.assertEqual(str(read(text).accounts[0].server), "imap.gmail.com:993")

    def test_lines_are_short(self) -> None:
        """The document fits a terminal."""
        self.assertLess(max(map(len, sample().splitlines())), 91)


class ToTomlTests(SynchronousTestCase):
    """Literals of TOML."""

    def test_literals(self) -> None:
        """Numbers, texts and lists have one; a table of ours has none."""
        for value, written in [
            (60.0, "60"),
            (1.5, "1.5"),
            (1_000_000, "1000000"),
            (True, "true"),
            ('a"b', '"a\\"b"'),
            (("INBOX", "ü"), '["INBOX", "ü"]'),
            (Timing(), None),
        ]:
            self.assertEqual(to_toml(value), written)

    def test_oauth_is_valid(self) -> None:
        """The table of OAuth2 is what the document may say in place of a password."""
        text = re.sub(r"^password = .*$", "", sample(), flags=re.M)
        (table,) = _OAUTH.findall(text)
        written = re.sub(r"^#(?=[a-z\[])", "", table, flags=re.M)
        google = re.sub(r"^(token_command|tenant) = .*$", "", written, flags=re.M)
        client = read(text.replace(table, google)).accounts[0].oauth
        assert isinstance(client, OAuthClient)
        self.assertIs(client.provider, OAuthProvider.GOOGLE)
        command = re.sub(r"^(?!token_command|\[)[a-z_]+ = .*$", "", written, flags=re.M)
        program = read(text.replace(table, command)).accounts[0].oauth
        self.assertIsInstance(program, TokenCommand)
