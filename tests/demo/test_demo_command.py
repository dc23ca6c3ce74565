"""`mahalla demo` as people start it: with mosquitto, without it, without its clips."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import time

import pytest
from brokers import MOSQUITTO
from daemon import MAHALLA
from jsonschema_lite import complaints
from samples import FACES, STREET, clip

from agent import schema
from agent.demo import SOUGHT, in_words, sought_list
from agent.hotlist.opening import open_hotlist
from agent.kinds import KINDS_OF_EVENTS

CAMERAS = ("gate", "street", "drawn")
BOX = "_box"  # tells that the hotlist was loaded
WITHOUT_MOSQUITTO = (
    "import sys; from agent import cli, embedded;"
    "embedded.find_mosquitto = lambda: None; sys.exit(cli.main(sys.argv[1:]))"
)


def demo(*arguments: str, program: list[str] | None = None, **environment: str):
    return subprocess.run(
        [*(program or [MAHALLA]), "demo", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(("broker", "seconds"), [("mosquitto", 12), ("iotcore", 7)])
def test_demo_shows_events_of_all_cameras_and_sums_them_up(broker, seconds):
    clip(FACES), clip(STREET)
    program = [sys.executable, "-c", WITHOUT_MOSQUITTO]
    if broker == "mosquitto":
        if MOSQUITTO is None:
            pytest.skip("mosquitto is not installed (apt install mosquitto)")
        program = [MAHALLA]
    else:
        pytest.importorskip("iotcore", reason="iotcore is not installed")
    began = time.monotonic()
    done = demo("--seconds", str(seconds), program=program)
    took_s = time.monotonic() - began
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert seconds < took_s < seconds + 12
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"broker {broker} on mqtt://127.0.0.1:")
    bodies = [json.loads(line[line.index("{") :]) for line in lines if " e/" in line]
    document = schema.events_schema()
    for body in bodies:
        assert list(complaints(body, document, document)) == []
    assert {body["src"].split("/")[2] for body in bodies} - {BOX, "plates"} == set(CAMERAS)
    # An alert overtakes what waits; none may be missing.
    assert sorted(body["sq"] for body in bodies) == list(range(1, len(bodies) + 1))
    kinds = {body["k"] for body in bodies}
    assert {"face.present", "vehicle.line", "vehicle.count"} <= kinds
    for state in ("status", "about", "health"):
        assert any(re.match(rf"\d\d:\d\d:\d\d {state} ", line) for line in lines), state
    assert "\x1b" not in done.stdout  # no terminal, no tricks
    summary = next(line for line in lines if re.match(r"\d+ events, \d+ bytes in ", line))
    assert summary.startswith(f"{len(bodies)} events, ")
    rows = dict.fromkeys((*CAMERAS, BOX, "plates"), 0)
    for line in lines[lines.index(summary) + 1 :]:
        name, kind, count = line.split()
        assert kind in KINDS_OF_EVENTS
        rows[name] += int(count)
    assert sum(rows.values()) == len(bodies)
    assert all(rows[name] for name in CAMERAS)


def test_demo_reads_the_sought_plates_within_twenty_seconds():
    clip(FACES), clip(STREET)
    done = demo("--seconds", "20")
    assert (done.returncode, done.stderr) == (0, "")
    bodies = [
        json.loads(line[line.index("{") :]) for line in done.stdout.splitlines() if " e/" in line
    ]
    hits = [body for body in bodies if body["k"] == "plate.hit" and body["s"] == "start"]
    assert {(hit["p"], hit["m"], hit["l"]) for hit in hits} == {
        (text, "exact", "sought") for text in SOUGHT
    }
    assert len(hits) == len(SOUGHT)
    assert all(hit["mg"] > 0 for hit in hits)
    loaded = next(body for body in bodies if body["k"] == "audit")
    assert (loaded["why"], loaded["l"], loaded["c"]) == ("loaded", "sought", 2)


def test_list_of_sought_plates_opens_with_its_own_keys(tmp_path):
    source = sought_list(tmp_path)
    hotlist = open_hotlist(source.file, name="sought", signers=source.signers, keys=source.keys)
    now_ms = time.time_ns() // 1_000_000
    assert all(hotlist.find("UZ", text, now_ms) for text in SOUGHT)
    assert hotlist.find("UZ", "10U202OW", now_ms) is None
    assert {path.stat().st_mode & 0o077 for path in source.keys} == {0}
    assert not any(text.encode() in source.file.read_bytes() for text in SOUGHT)


def test_demo_without_clips_says_how_to_get_them(tmp_path):
    done = demo("--seconds", "1", MAHALLA_CLIPS=str(tmp_path))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"mahalla demo: {tmp_path / FACES} is missing; run `make demo`")
    assert "--clips" in line
    assert done.stdout == ""


def test_demo_without_any_broker_says_what_to_install():
    clip(FACES), clip(STREET)
    nothing = WITHOUT_MOSQUITTO.replace("import sys;", "import sys; sys.modules['iotcore'] = None;")
    done = demo("--seconds", "1", program=[sys.executable, "-c", nothing])
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "install mosquitto" in line


def test_demo_ends_quietly_when_its_reader_goes():
    clip(FACES), clip(STREET)
    with subprocess.Popen(
        [MAHALLA, "demo", "--seconds", "30"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline().startswith("broker ")
        child.stdout.close()
        try:
            assert child.wait(20) == 0
            assert child.stderr.read() == ""
        finally:
            child.kill()


def test_demo_interrupted_sums_up_and_exits():
    clip(FACES), clip(STREET)
    with subprocess.Popen(
        [MAHALLA, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        try:
            for line in child.stdout:
                if " e/" in line:
                    break
            child.send_signal(2)
            rest, err = child.communicate(timeout=20)
        finally:
            child.kill()
    assert child.returncode == 0  # whatever had come by then: it was wanted
    assert err == ""
    assert re.search(r"(?m)^\d+ events, ", rest)


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed (apt install mosquitto)")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_demo_ended_from_outside_takes_its_broker_along(number):
    clip(FACES), clip(STREET)
    with subprocess.Popen([MAHALLA, "demo"], stdout=subprocess.PIPE, text=True) as child:
        try:
            port = re.search(r":(\d+),", child.stdout.readline())[1]
            child.send_signal(number)
            child.communicate(timeout=20)
        finally:
            child.kill()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)), timeout=1)


def test_demo_on_a_terminal_says_each_event_in_one_line_that_fits():
    clip(FACES), clip(STREET)
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    shown = []
    with subprocess.Popen([MAHALLA, "demo", "--seconds", "8"], stdout=its, stderr=its) as child:
        os.close(its)
        try:
            while piece := _read(ours):
                shown.append(piece)
        finally:
            child.kill()
            os.close(ours)
    lines = [line.split("\x1b[K")[-1] for line in b"".join(shown).decode().split("\r\n")]
    said = [line for line in lines if re.match(r"\d\d:\d\d:\d\d (gate|street|drawn) ", line)]
    assert any("face.present   1 face in view" in line for line in said)
    assert any("car crosses middle, left to right" in line for line in said)
    assert max(map(len, lines[1:])) <= 80
    assert not any("{" in line for line in said)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end has closed it
        return b""


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"k": "face.present", "s": "start", "c": 2}, "2 faces in view"),
        ({"k": "face.present", "s": "end", "c": 1, "dur": 25669}, "end after 26 s, 1 face in view"),
        ({"k": "vehicle.count", "o": "car", "c": 3, "per": 60}, "3 cars in 60 s"),
        (
            {"k": "person.line", "z": "in", "dir": "+", "q": 0.5},
            "person crosses in, left to right, sure 0.5",
        ),
        (
            {
                "k": "plate.hit",
                "s": "start",
                "p": "75A055KA",
                "l": "sought",
                "m": "exact",
                "mg": 6.1,
            },
            "75A055KA, on list sought, exact, margin 6.1",
        ),
        (
            {"k": "plate.hit", "s": "end", "p": "75A055KA", "l": "sought", "m": "exact"},
            "end of 75A055KA, on list sought, exact",
        ),
        ({"k": "plate.unread", "co": "?"}, "a plate that could not be read"),
        ({"k": "camera.lost", "s": "start", "why": "frozen"}, "start frozen"),
        ({"k": "config.changed"}, ""),
    ],
)
def test_event_in_words(event, words):
    assert in_words(event) == words
