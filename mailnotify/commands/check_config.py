"""``mailnotify check-config``: what the service would do with this configuration.

Prints the accounts, the servers, where each secret comes from and where the
service listens; or every problem. With ``--secrets`` each secret is fetched as
the service would fetch it, and only the outcome is told.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

from mailnotify.auth.grants import GrantStore
from mailnotify.auth.secrets import origin, reveal
from mailnotify.config.listen import Listen
from mailnotify.config.load import find, load
from mailnotify.config.providers import note_for, security_name
from mailnotify.config.schema import (
    Account,
    CaFile,
    Config,
    FromCommand,
    OAuth,
    OAuthClient,
    Pinned,
    Secret,
    Server,
    Submission,
    SystemTrust,
    TokenCommand,
    Trust,
)
from mailnotify.core.text import clean
from mailnotify.errors import ConfigInvalid, LoginNeeded, SecretUnavailable
from mailnotify.taps.command_line import CommandLine
from mailnotify.taps.configured import CONFIG
from mailnotify.taps.logins import GRANTS, holder

_MOST_SHOWN_BYTES = 200


class Options(CommandLine):
    """Which file, and whether to fetch the secrets."""

    synopsis = "[--config FILE] [--secrets]"
    longdesc = "Reads the configuration and prints what will be watched, or all that is wrong."
    optParameters = [CONFIG]
    optFlags = [["secrets", "s", "Fetch every secret too; none is printed."]]


def run(options: Options) -> int:
    """Check the configuration; return an exit code of sysexits(3)."""
    return check(options, os.environ, sys.stdout, sys.stderr)


def check(options: Options, environ: Mapping[str, str], stdout: TextIO, stderr: TextIO) -> int:
    """As `run`, with an environment and streams of the caller's choice."""
    try:
        path = find(environ, options["config"])
        config = load(path, environ)
    except ConfigInvalid as error:
        print(error, error.remedy, sep="\n", file=stderr)
        return os.EX_CONFIG
    for line in described(config):
        print(line, file=stdout)
    status = _check_secrets(config, environ, stdout, stderr) if options["secrets"] else os.EX_OK
    verdict = "is good" if status == os.EX_OK else "is readable, but not all secrets are"
    print(f"\n{path} {verdict}.", file=stdout)
    return status


def described(config: Config) -> Iterator[str]:
    """What the service will do, line by line."""
    for account in config.accounts:
        yield from _account(account)
        yield ""
    yield from _listen(config.listen)
    yield f"keeps its journal in {_shown(config.state_dir)}"


def _listen(listen: Listen) -> Iterator[str]:
    yield f"listens on {_place(listen.host, listen.port)}"
    if listen.tls is not None:
        yield f"and in TLS on {_place(listen.tls.host, listen.tls.port)}"


def _account(account: Account) -> Iterator[str]:
    yield f"account {_shown(account.name)}"
    yield from _mailboxes(account)
    yield f"  at        {_server(account.server)}"
    yield _proof(account.proof)
    yield f"  trusts    {_trust(account.trust)}"
    if account.submission is None:
        yield "  sends     nothing: there is no [accounts.NAME.submission]"
    else:
        yield from _submission(account, account.submission)
    if note := note_for(account.server):
        yield f"  note      {note}"


def _mailboxes(account: Account) -> Iterator[str]:
    wanted = account.wanted
    if wanted.names:
        yield f"  watches   {', '.join(map(_shown, wanted.names))}"
    if wanted.patterns:
        label = "and" if wanted.names else "watches"
        patterns = ", ".join(map(_shown, wanted.patterns))
        seconds = f"{account.timing.list_seconds:g} s"
        yield f"  {label:<9} what fits {patterns}, also later (looked into every {seconds})"
    if wanted.exceptions:
        yield f"  but not   {', '.join(map(_shown, wanted.exceptions))}"


def _submission(account: Account, submission: Submission) -> Iterator[str]:
    yield f"  sends by  {_server(submission.server)}"
    yield f"  from      {_shown(submission.sender)}"
    if submission.proof != account.proof:
        yield f"{_proof(submission.proof)}, for sending"
    if submission.trust != account.trust:
        yield f"  trusts    {_trust(submission.trust)}, for sending"


def _proof(proof: Secret | OAuth) -> str:
    match proof:
        case TokenCommand():
            return f"  token     from {origin(FromCommand(command=proof.token_command))}"
        case OAuthClient():
            return f"  OAuth2    by {proof.provider.value}, as the client {_shown(proof.client_id)}"
        case _:
            return f"  password  from {origin(proof)}"


def _check_secrets(
    config: Config, environ: Mapping[str, str], stdout: TextIO, stderr: TextIO
) -> int:
    status = os.EX_OK
    print(file=stdout)
    for (secret, user), owners in _secrets(config).items():
        try:
            reveal(secret, user=user, environ=environ)
        except SecretUnavailable as error:
            print(f"{owners}: {error}", error.remedy, sep="\n", file=stderr)
            status = os.EX_CONFIG
        else:
            print(f"secret of {owners}: ok", file=stdout)
    for account in config.accounts:
        if account.oauth_client is not None:
            status = _check_grant(config, account, account.oauth_client, stdout, stderr) or status
    return status


def _check_grant(
    config: Config, account: Account, client: OAuthClient, stdout: TextIO, stderr: TextIO
) -> int:
    store = GrantStore(Path(config.state_dir) / GRANTS, holder(account, client), client)
    name = f"account {_shown(account.name)}"
    try:
        if store.load() is None:
            raise LoginNeeded(account=account.name, reason="none is kept here")
    except (SecretUnavailable, LoginNeeded) as error:
        print(f"{name}: {error}", error.remedy, sep="\n", file=stderr)
        return os.EX_CONFIG
    print(f"OAuth2 grant of {name}: ok", file=stdout)
    return os.EX_OK


def _secrets(config: Config) -> dict[tuple[Secret, str], str]:
    """Each secret once, with the places that use it: a command may ask the user."""
    owners: dict[tuple[Secret, str], str] = {}
    for account in config.accounts:
        name = f"account {_shown(account.name)}"
        if (secret := _secret(account.proof, account.server.user)) is not None:
            owners.setdefault(secret, name)
        submission = account.submission
        if submission is None:
            continue
        if (secret := _secret(submission.proof, submission.server.user)) is not None:
            owners.setdefault(secret, f"{name}, for sending")
    return owners


def _secret(proof: Secret | OAuth, user: str) -> tuple[Secret, str] | None:
    """What there is to be fetched, and for whom: of a client its own secret, if it has one."""
    match proof:
        case TokenCommand():
            return FromCommand(command=proof.token_command), user
        case OAuthClient():
            return (proof.client_secret, proof.client_id) if proof.client_secret else None
    return proof, user


def _server(server: Server) -> str:
    place = _place(server.host, server.port)
    return f"{place} ({security_name(server.security)}) as {_shown(server.user)}"


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _trust(trust: Trust) -> str:
    match trust:
        case SystemTrust():
            return "the certificate authorities of the system"
        case CaFile():
            return f"only the authorities in {_shown(trust.ca_file)}"
        case Pinned():
            return f"only the certificate {trust.fingerprint}"


def _shown(text: str) -> str:
    return clean(text, _MOST_SHOWN_BYTES)
