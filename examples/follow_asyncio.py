"""Follow the stream with asyncio alone: follow_asyncio.py [PORT [COUNT [POSITION_FILE]]]."""

import asyncio
import json
import sys
from pathlib import Path


async def follow(port: int, count: int, kept: Path) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=65536)
    since = kept.read_text() if kept.exists() else "now"
    writer.write(b'HELLO 1 {"client":"example"}\r\n')
    writer.write(b"SUBSCRIBE %s\r\n" % json.dumps({"since": since}).encode())
    while count and (line := await reader.readline()):
        verb, _, rest = line.decode().rstrip("\r\n").partition(" ")
        if verb == "EVENT":
            position, _, text = rest.partition(" ")
            event = json.loads(text)
            if event["kind"] == "mail":
                print(event["subject"], flush=True)
                count -= 1
            new = kept.with_suffix(".new")  # shown first, kept then, in one step
            new.write_text(position)
            new.replace(kept)
        elif verb == "GAP":
            print(f"something was missed: {rest}", file=sys.stderr)
        elif verb == "PING":
            writer.write(f"PONG {rest}\r\n".encode())


arguments = [*sys.argv[1:], *("5050", "-1", "position")[len(sys.argv) - 1 :]]
asyncio.run(follow(int(arguments[0]), int(arguments[1]), Path(arguments[2])))
