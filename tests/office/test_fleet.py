"""The fleet as its boxes tell it, and when a release must not go on."""

from __future__ import annotations

import json

import paho.mqtt.publish as publish
import pytest
from brokers import Mosquitto
from ota_maintainer import Maintainer, release

from agent.cli import main
from agent.office.fleet import Fleet
from agent.ota.release import Ring

NOW = 1_000_000_000
BOXES = [f"site/box-{number}" for number in range(20)]
RELEASE = release("2", serial=2, rings=(Ring(name="red", boxes=tuple(BOXES[:10])),))


def fleet(**states) -> Fleet:
    """All boxes are heard now; `states` of box numbers for the release."""
    heard = Fleet(silent_ms=60_000)
    for number, box in enumerate(BOXES):
        state = states.get(f"b{number}")
        ota = {"face": {"v": "2", "n": 2, "state": state, "since": 5, "why": "slow"}}
        content = {"t": NOW, "ota": ota if state else {}}
        heard.hear(f"sm/1/{box}/health", json.dumps(content).encode())
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
    heard = Fleet(silent_ms=1)
    heard.hear("sm/1/a/b/health", payload)
    heard.hear("elsewhere", b'{"t":1}')
    assert (heard.unreadable, heard.models) == (2, {})


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
