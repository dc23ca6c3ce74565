"""The fleet as its boxes tell it, and when a release must not go on."""

from __future__ import annotations

import json
import threading

import paho.mqtt.publish as publish
import pytest
from brokers import Mosquitto
from ota_maintainer import Maintainer, release

from agent.cli import main
from agent.errors import UpdateError
from agent.office.fleet import Fleet
from agent.office.fleet_verbs import _halt_failed
from agent.ota.release import Ring

NOW = 1_780_000_000_000
BOXES = [f"site/box-{number}" for number in range(20)]
RELEASE = release("2", serial=2, rings=(Ring(name="red", boxes=tuple(BOXES[:10])),))


def fleet(**states) -> Fleet:
    """All boxes are heard now; `states` of box numbers for the release."""
    heard = Fleet(silent_ms=60_000, began_ms=NOW)
    for number, box in enumerate(BOXES):
        state = states.get(f"b{number}")
        ota = {"face": {"v": "2", "n": 2, "state": state, "since": 5, "why": "slow"}}
        content = {"t": NOW, "ota": ota if state else {}}
        heard.hear(f"sm/1/{box}/health", json.dumps(content).encode(), NOW)
    return heard


def silence(heard: Fleet, *numbers: int) -> Fleet:
    for number in numbers:
        heard.heard_ms[BOXES[number]] = 0
    return heard


@pytest.mark.parametrize(
    ("heard", "halts"),
    [
        (fleet(), False),
        (fleet(b0="refused"), False),  # one in ten is what the release allows
        (fleet(b0="refused", b1="refused"), True),
        (fleet(b0="live", b1="active"), False),
        (silence(fleet(b0="live", b1="active"), 0, 1), True),
        (silence(fleet(b0="live", b1="active"), 0, 1, *range(10, 20)), False),  # no power in town
        (silence(fleet(), 0, 1), False),  # they had not taken it
        (fleet(b15="refused", b16="refused", b17="refused"), False),  # not of an open ring
    ],
)
def test_release_halts_when_more_of_a_ring_than_it_says_fails_or_falls_silent(heard, halts):
    assert (heard.verdict(RELEASE, BOXES, NOW) is not None) == halts


def test_rows_say_ring_state_and_reason():
    (row,) = fleet(b0="refused").rows([RELEASE], NOW)
    assert (row.box, row.site, row.ring, row.version) == ("site/box-0", "site", "red", "2")
    assert (row.state, row.since_ms, row.why, row.silent) == ("refused", 5, "slow", False)


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"t":1,"ota":[1]}', b'{"t":"x"}'])
def test_message_of_another_form_is_left_alone(payload):
    heard = Fleet(silent_ms=1, began_ms=NOW)
    heard.hear("sm/1/a/b/health", payload, NOW)
    heard.hear("elsewhere", b'{"t":1}', NOW)
    assert (heard.unreadable, heard.models) == (2, {})


@pytest.mark.parametrize(
    ("said_ms", "retained", "silent_after_s"),
    [
        (1000, False, 60),  # the clock of the box is in 1970, and it speaks now
        (NOW * 2, False, 60),
        (NOW - 40_000, True, 20),  # what the broker kept of it is 40 s old
        (1000, True, 60),  # nobody knows how old: silent after a while, not at once
        (NOW * 2, True, 60),
    ],
)
def test_silence_is_judged_by_the_listeners_clock(said_ms, retained, silent_after_s):
    heard = Fleet(silent_ms=60_000, began_ms=NOW)
    body = json.dumps({"t": said_ms}).encode()
    heard.hear("sm/1/a/b/health", body, NOW, retained=retained)
    assert not heard.is_silent("a/b", NOW + 1000 * silent_after_s)
    assert heard.is_silent("a/b", NOW + 1000 * silent_after_s + 1)


def test_halt_that_could_not_be_published_is_published_at_the_next_look(tmp_path, capsys):
    maintainer = Maintainer(tmp_path)
    maintainer.release("2", percent=100)
    heard = Fleet(silent_ms=60_000, began_ms=NOW)
    body = {"t": NOW, "ota": {"face": {"v": "2", "n": 1, "state": "refused", "why": "slow"}}}
    heard.hear("sm/1/a/b/health", json.dumps(body).encode(), NOW)
    for keys in ([maintainer.models], [maintainer.online], [maintainer.online]):
        words = (maintainer.at(), keys, heard, ["a/b"], threading.Lock())
        if keys == [maintainer.models]:
            with pytest.raises(UpdateError, match="keys are missing"):
                _halt_failed(*words)
            assert maintainer.at().published_halts() == {}
        else:
            _halt_failed(*words)
        assert list(maintainer.at().halts()) == [1]
    assert list(maintainer.at().published_halts()) == [1]
    assert capsys.readouterr().out == "face 2: halted, ring all: 1 failed, 0 silent of 1\n"


def test_status_shows_the_boxes_and_watch_halts_over_a_real_broker(tmp_path, capsys):
    from cryptography.hazmat.primitives import serialization

    maintainer = Maintainer(tmp_path)
    maintainer.now = __import__("datetime").datetime.now(maintainer.now.tzinfo)
    maintainer.release("2", boxes=("a/b", "a/c"), percent=0)
    (tmp_path / "fleet.txt").write_text("a/b\na/c\n")
    (tmp_path / "secret").write_text("a long passphrase\n")
    key = maintainer.online._private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"a long passphrase"),
    )
    (tmp_path / "online.key").write_bytes(key)
    repo = str(tmp_path / "repo")
    with Mosquitto(tmp_path) as broker:
        for box, state in (("b", "refused"), ("c", "live")):
            row = {"v": "2", "n": 1, "state": state, "since": 1, "why": "slow"}
            body = json.dumps({"t": 4 * 10**12, "ota": {"face": row}})
            publish.single(
                f"sm/1/a/{box}/health", body, 1, True, hostname="127.0.0.1", port=broker.port
            )
        words = ["ota", "status", repo, broker.url, "--seconds", "1", "--json"]
        main([*words, "--state", "refused"])
        (row,) = json.loads(capsys.readouterr().out)["boxes"]
        assert (row["box"], row["ring"], row["why"]) == ("a/b", "all", "slow")
        main(words[:-1])
        assert "a/c" in capsys.readouterr().out
        rest = ["--fleet", str(tmp_path / "fleet.txt"), "--sign", str(tmp_path / "online.key")]
        rest += ["--passphrase", str(tmp_path / "secret"), "--seconds", "2.5"]
        assert main(["ota", "watch", repo, broker.url, *rest]) == 0
        assert "face 2: halted, ring all: 1 failed, 0 silent of 2" in capsys.readouterr().out
    assert maintainer.at().halts() == {1: "ring all: 1 failed, 0 silent of 2"}
