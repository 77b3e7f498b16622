"""The Wireshark dissector knows every verb, and reads whole dialogues from bytes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.lines import FROM_CLIENT, FROM_SERVER
from tests.rigs import require

SCRIPT = Path(__file__).parents[2] / "contrib" / "wireshark" / "mailnotify.lua"
CLIENT, SERVER = "40000,5050", "5050,40000"


def words(table: str) -> set[str]:
    """The verbs in one table of the script."""
    body = re.search(rf"local {table} = \{{(.*?)\}}", SCRIPT.read_text("utf-8"), re.DOTALL)
    assert body is not None
    return set(re.findall(r"(\w+) = true", body[1]))


class VerbTests(SynchronousTestCase):
    """The script's tables are the code's."""

    def test_verbs(self) -> None:
        """No verb is missing, and none is made up."""
        self.assertEqual(words("FROM_CLIENT"), set(FROM_CLIENT))
        self.assertEqual(words("FROM_SERVER") | {"New"}, set(FROM_SERVER))


class DissectionTests(SynchronousTestCase):
    """tshark, reading captures that were made from bytes."""

    def dissect(self, segments: Sequence[tuple[str, bytes]]) -> list[dict[str, Any]]:
        """The mailnotify layer of each packet that has one."""
        folder = Path(self.mktemp()).resolve()
        folder.mkdir(parents=True)
        capture = folder / "all.pcap"
        parts = []
        for number, (ports, data) in enumerate(segments):
            dump, part = folder / f"{number}.txt", folder / f"{number}.pcap"
            lines = [
                f"{at:06x} " + " ".join(f"{byte:02x}" for byte in data[at : at + 16])
                for at in range(0, len(data), 16)
            ]
            dump.write_text("\n".join(lines) + "\n")
            command = [require("text2pcap", "wireshark-common"), "-q", "-T", ports]
            subprocess.run([*command, str(dump), str(part)], check=True, capture_output=True)
            parts.append(str(part))
        merge = [require("mergecap", "wireshark-common"), "-a", "-w", str(capture)]
        subprocess.run([*merge, *parts], check=True, capture_output=True)
        command = [require("tshark", "tshark"), "-X", f"lua_script:{SCRIPT}", "-r", str(capture)]
        # Each part begins a stream of its own numbers: do not wait for a first byte.
        options = ["-o", "tcp.check_checksum:FALSE", "-o", "tcp.analyze_sequence_numbers:FALSE"]
        done = subprocess.run(
            [*command, *options, "-T", "json", "--no-duplicate-keys"],
            check=True,
            capture_output=True,
            text=True,
        )
        self.assertNotIn("Lua Error", done.stdout + done.stderr)
        layers = [packet["_source"]["layers"] for packet in json.loads(done.stdout)]
        return [layer["mailnotify"] for layer in layers if "mailnotify" in layer]

    def verbs(self, layer: dict[str, Any]) -> list[str]:
        """The verbs of one packet, in order."""
        trees = layer["mailnotify.line_tree"]
        return [tree["mailnotify.verb"] for tree in (trees if isinstance(trees, list) else [trees])]

    def test_dialogue(self) -> None:
        """Verbs, positions and JSON of both sides."""
        client = b'HELLO 1 {"client":"x"}\r\nSUBSCRIBE {"since":"e1:4"}\n\nPING a\r\n'
        server = b'OK {"to":"HELLO"}\r\nEVENT e1:5 {"kind":"mail","subject":"Hi"}\r\nLIVE e1:5\r\n'
        said, answered = self.dissect([(CLIENT, client), (SERVER, server)])
        self.assertEqual(self.verbs(said), ["HELLO", "SUBSCRIBE", "PING"])
        self.assertEqual(self.verbs(answered), ["OK", "EVENT", "LIVE"])
        event = answered["mailnotify.line_tree"][1]["mailnotify.arguments_tree"]
        self.assertEqual(event["mailnotify.position"], "e1:5")
        self.assertEqual(event["mailnotify.position_tree"]["mailnotify.seq"], "5")
        self.assertIn('"subject":"Hi"', event["mailnotify.json"])

    def test_letter(self) -> None:
        """SEND shows its JSON, and each PART the text that it stands for."""
        lines = b'SEND {"size":9,"to":["b@x"]}\r\nPART U3ViamVjdDogTHVuY2g/\r\nPART QUI\r\n'
        (said,) = self.dissect([(CLIENT, lines)])
        self.assertEqual(self.verbs(said), ["SEND", "PART", "PART"])
        send, part, bad = (
            each.get("mailnotify.arguments_tree", {}) for each in said["mailnotify.line_tree"]
        )
        self.assertIn('"size":9', send["mailnotify.json"])
        self.assertEqual(part["mailnotify.part"], "Subject: Lunch?")
        self.assertNotIn("mailnotify.part", bad)

    def test_plain_line(self) -> None:
        """What `nc` sees has its subject as a field."""
        (layer,) = self.dissect([(SERVER, "New Email Received: Grüße\r\n".encode())])
        self.assertEqual(layer["mailnotify.line_tree"]["mailnotify.subject"], "Grüße")

    def test_plain_line_without_subject(self) -> None:
        """An empty subject is no error."""
        (layer,) = self.dissect([(SERVER, b"New Email Received: \r\n")])
        self.assertEqual(layer["mailnotify.line_tree"]["mailnotify.verb"], "New")

    def test_errors_are_experts_words(self) -> None:
        """ERR, GAP and unknown verbs stand out in Wireshark's expert information."""
        lines = b'ERR VERB no such verb\r\nGAP {"from":"a:1","to":"b:2","reason":"epoch"}\r\n'
        answered, said = self.dissect([(SERVER, lines), (CLIENT, b"FROB x\r\n")])
        text = json.dumps(answered)
        self.assertIn("mailnotify.refused", text)
        self.assertIn("mailnotify.gap", text)
        error = answered["mailnotify.line_tree"][0]["mailnotify.arguments_tree"]
        self.assertEqual(error["mailnotify.code"], "VERB")
        self.assertIn("mailnotify.unknown", json.dumps(said))

    def test_hostile_bytes(self) -> None:
        """Whatever is on the port, the script does not fail."""
        for data in (b"\0\xff\xfe\n", b"EVENT\n", b"EVENT :\n", b"OK {\n", b"\r\n\r\n", b"x" * 900):
            self.dissect([(SERVER, data), (CLIENT, data)])
