"""A submission server that takes every letter and keeps none, as fast as Python can.

One connection at a time, blocking, inside TLS, one write for what came in one read:
far below what a sender costs, which `benchmarks.smtp` shows by this process's share
of CPU. ``python -m benchmarks.smtp_sink CERT KEY KEYWORD...`` prints its port.
"""

from __future__ import annotations

import socket
import ssl
import sys

REPLIES = {
    b"AUTH": b"235 2.7.0 welcome\r\n",
    b"MAIL": b"250 2.1.0 ok\r\n",
    b"RCPT": b"250 2.1.5 ok\r\n",
    b"DATA": b"354 go ahead\r\n",
    b"RSET": b"250 2.0.0 ok\r\n",
    b"QUIT": b"221 2.0.0 bye\r\n",
}
TAKEN = b"250 2.0.0 ok: queued as 4711\r\n"


def serve(connection: ssl.SSLSocket, hello: bytes) -> None:  # noqa: C901 (calls cost time)
    """Speak with one client to its end."""
    connection.sendall(b"220 sink ESMTP\r\n")
    buffer = b""
    is_in_data = False
    challenges = 0
    while data := connection.recv(65536):
        buffer += data
        out = []
        while True:
            if is_in_data:
                _, end, rest = buffer.partition(b"\r\n.\r\n")
                if not end:
                    break
                buffer, is_in_data = rest, False
                out.append(TAKEN)
                continue
            line, end, rest = buffer.partition(b"\r\n")
            if not end:
                break
            verb = line[:4].upper()
            if verb == b"BDAT":
                size = int(line.split()[1])
                if len(rest) < size:
                    break
                buffer = rest[size:]
                out.append(TAKEN)
                continue
            buffer = rest
            if verb == b"AUTH" or challenges:
                words = line.upper().split()
                if verb == b"AUTH":
                    challenges = 3 - len(words) + (words[1] == b"LOGIN")
                else:
                    challenges -= 1
                out.append(b"334 \r\n" if challenges else REPLIES[b"AUTH"])
                continue
            out.append(hello if verb == b"EHLO" else REPLIES.get(verb, b"500 what?\r\n"))
            is_in_data = verb == b"DATA"
        if out:
            connection.sendall(b"".join(out))
        if out and out[-1] is REPLIES[b"QUIT"]:
            return


def main(cert_file: str, key_file: str, *keywords: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    words = ["sink", "SIZE 50000000", "8BITMIME", *keywords, "AUTH PLAIN LOGIN"]
    hello = b"".join(
        b"250%s%s\r\n" % (b" " if word is words[-1] else b"-", word.encode()) for word in words
    )
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        plain, _ = listener.accept()
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with context.wrap_socket(plain, server_side=True) as connection:
                serve(connection, hello)
        except (OSError, ssl.SSLError):
            continue


if __name__ == "__main__":
    main(*sys.argv[1:])
