"""What is accepted, and what becomes of it."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from agent.config.load import check, load
from agent.config.model import Config

SMALL = """\
site: alpomish
box: north-gate
cameras:
  gate-in:
    role: {role}
    source: {source}
    {more}
brokers:
  office: {broker}
{end}
"""

Write = Callable[[str], Path]


@pytest.fixture
def accept(write: Write) -> Callable[..., tuple[Config, list[str]]]:
    """Reads a small configuration with one thing changed; answers with its warnings too."""

    def read(**changes: str) -> tuple[Config, list[str]]:
        usual = {"role": "traffic", "source": "rtsp://10.0.0.21/1", "more": "", "end": ""}
        path = write(SMALL.format(**{**usual, "broker": "{url: mqtt://localhost}"} | changes))
        config, problems = check(path)
        assert config is not None, "\n".join(map(str, problems))
        return config, [f"{problem.path}: {problem.what}" for problem in problems]

    return read


Accept = Callable[..., tuple[Config, list[str]]]


def test_example_of_every_key_is_accepted_with_warnings_only(write: Write, example: str) -> None:
    config, problems = check(write(example))
    assert config is not None
    assert [(problem.path, problem.what) for problem in problems] == [
        ("cameras.gate-in.hours", "not active in this version"),
        ("cameras.gate-in.rules.person.crowd", "not active in this version"),
        ("brokers.city.protocol", "a PUBACK of MQTT 3.1.1 carries no reason"),
    ]
    assert {problem.severity for problem in problems} == {"warning"}


def test_example_names_every_key_of_the_configuration(write: Write, example: str) -> None:
    config, _ = check(write(example))
    assert config is not None
    left_out = [
        field.name for field in dataclasses.fields(config) if getattr(config, field.name) is None
    ]
    assert left_out == []


def test_contract_example_is_accepted(folder: Path, write: Write) -> None:
    contract = Path(__file__).parents[3] / "shared" / "design" / "contract.md"
    if not contract.exists():
        pytest.skip("the contract is not beside this checkout")
    example = re.search(r"```yaml\n(.*?)```", contract.read_text(encoding="utf-8"), re.DOTALL)
    assert example
    config, problems = check(write(example[1]))
    assert config is not None
    assert {problem.severity for problem in problems} == {"warning"}


def test_example_becomes_a_configuration_with_units_resolved(write: Write, example: str) -> None:
    path = write(example)
    config = load(path)
    camera, office, city = config.cameras["gate-in"], *config.brokers.values()
    assert config.path == path
    assert camera.auth == path.parent / "gate-in.cred"
    assert camera.at == (37.2242, 67.2783)
    assert camera.zones["gate"][1] == (0.9, 0.4)
    assert (camera.lines["in"].start, camera.lines["in"].end) == ((0.0, 0.6), (1.0, 0.6))
    assert camera.lines["in"].counts == ("car", "person")
    assert office.urls == ("mqtts://office.lan:8883",)
    assert office.key == path.parent / "box.key"
    assert office.commands == ("evidence", "feedback", "resend", "seen")
    assert (city.protocol, city.send) == ("3.1.1", ("plate.hit", "camera.*"))
    stolen = config.hotlists["stolen"]
    assert (stolen.name, stolen.max_age_s, stolen.send) == ("stolen", 7 * 86400, ("city", "office"))
    assert stolen.signers == (path.parent / "city.pub",)
    assert stolen.keys == (path.parent / "box.key",)  # the brokers'
    assert config.outbox.max_bytes == 500_000_000
    assert config.link.budget_bytes_per_day == 20_000_000
    assert config.infer.delegate is None


@pytest.mark.parametrize("word", ["no", "on", "null-1", "0123", "12-30", "1e3", "y"])
def test_id_that_yaml_takes_for_something_else_stays_a_word(word: str, write: Write) -> None:
    text = SMALL.format(
        role="face",
        source="picamera:0",
        more=f"lines: {{{word}: {{from: [0, 0], to: [1, 1], counts: car}}}}",
        broker="{url: mqtt://localhost}",
        end="",
    )
    config, _ = check(write(text.replace("alpomish", word).replace("gate-in", word)))
    assert config is not None
    assert config.site == word
    assert config.cameras[word].lines[word].counts == ("car",)


@pytest.mark.parametrize(
    "source",
    [
        "rtsp://10.0.0.21/stream1",
        "rtsp://255.255.255.255/1",
        "rtsp://10.0.0.300.lan/1",
        "rtsps://cam.lan:322/live/main?channel=1&subtype=0",
        "rtsp://[fe80::1]:554/1",
        "picamera:1",
        "v4l2:/dev/video0",
        "'gst:nvarguscamerasrc ! video/x-raw(memory:NVMM),width=1920'",
        "synthetic:street",
        "synthetic:parked?clock=1&size=1280x720",
    ],
)
def test_source_in_the_grammar_is_accepted_as_written(source: str, accept: Accept) -> None:
    config, _ = accept(source=source)
    assert config.cameras["gate-in"].source == source.strip("'")


@pytest.mark.parametrize("exists", [True, False])
def test_device_that_may_be_plugged_in_later_is_a_warning(
    exists: bool, accept: Accept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.config.sources.Path.exists", lambda path: exists)
    _, warnings = accept(source="v4l2:/dev/video99")
    told = "cameras.gate-in.source: device /dev/video99 does not exist"
    assert warnings == ([] if exists else [told])


def test_clip_relative_to_the_file_becomes_absolute(accept: Accept, folder: Path) -> None:
    config, _ = accept(source="clip:./street.mp4")
    assert config.cameras["gate-in"].source == f"clip:{folder / 'street.mp4'}"


def test_role_list_is_kept_in_order(accept: Accept) -> None:
    config, _ = accept(role="[traffic, face]")
    assert config.cameras["gate-in"].roles == ("traffic", "face")


@pytest.mark.parametrize(
    "url", ["mqtt://localhost", "mqtt://127.0.0.9:1884", "mqtt://[::1]", "mqtt://localhost/"]
)
def test_broker_on_this_box_needs_no_encryption(url: str, accept: Accept) -> None:
    config, warnings = accept(broker=f'{{url: "{url}"}}')
    assert config.brokers["office"].urls[0].count(":") >= 2  # the port is written out
    assert warnings == []


def test_broker_list_fails_over_in_order(accept: Accept) -> None:
    config, _ = accept(broker="{url: [mqtts://b.lan, mqtts://a.lan:99], ca: ca.pem}")
    assert config.brokers["office"].urls == ("mqtts://b.lan:8883", "mqtts://a.lan:99")


@pytest.mark.parametrize("send", ["all", "[all, status]", "[camera.*, audit, health]", "plate.*"])
def test_send_of_known_kinds_is_accepted(send: str, accept: Accept) -> None:
    config, _ = accept(broker=f"{{url: mqtt://localhost, send: {send}}}")
    assert list(config.brokers["office"].send) == send.strip("[]").split(", ")


def test_topic_template_is_accepted(accept: Accept) -> None:
    topic = "city/{site}/{box}/{camera}/v-{kind}"
    config, _ = accept(broker=f'{{url: mqtt://localhost, topic: "{topic}"}}')
    assert config.brokers["office"].topic == topic


@pytest.mark.parametrize("more", ["zones:", "auth: ~", "rules: {}", "preset: null"])
def test_optional_key_without_value_counts_as_left_out(more: str, accept: Accept) -> None:
    config, warnings = accept(more=more)
    assert warnings == []
    assert config == accept()[0]


def test_credential_without_systemd_is_a_warning(accept: Accept) -> None:
    config, warnings = accept(more="auth: cred:gate-in")
    assert config.cameras["gate-in"].auth == Path("cred:gate-in")
    assert warnings == ["cameras.gate-in.auth: cred:gate-in cannot be checked"]


def test_credential_of_systemd_is_resolved(
    accept: Accept, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_over = folder / "credentials"
    handed_over.mkdir()
    (handed_over / "gate-in").write_text("viewer:s3cret")
    (handed_over / "gate-in").chmod(0o440)  # systemd widens the mode for its access list
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed_over))
    config, warnings = accept(more="auth: cred:gate-in")
    assert config.cameras["gate-in"].auth == handed_over / "gate-in"
    assert warnings == []


@pytest.mark.parametrize(
    ("name", "days", "said"),
    [("old", -1, "expired"), ("ending", 13, "expires"), ("lasting", 15, ""), ("box", 30, "")],
)
def test_certificate_at_its_end_is_a_warning(
    name: str, days: int, said: str, accept: Accept
) -> None:
    _, warnings = accept(
        broker=f"{{url: mqtts://office.lan, ca: ca.pem, cert: {name}.pem, key: {name}.key}}"
    )
    day = f"{datetime.now(timezone.utc) + timedelta(days=days):%Y-%m-%d}"
    told = f"brokers.office.cert: the certificate {said} on {day}; renew it"
    assert warnings == ([told] if said else [])


LIST = "hotlists: {{stolen: {{file: stolen.list, {}, max_age: 7d, send: office}}}}"
BOTH = "{url: mqtts://office.lan, ca: ca.pem, cert: box.pem, key: box.key}"


def test_hotlist_that_has_not_arrived_is_a_warning(accept: Accept, folder: Path) -> None:
    text = LIST.format("key: box.key, signer: city.pub").replace("stolen.list", "later.list")
    config, warnings = accept(end=text)
    assert config.hotlists["stolen"].file == folder / "later.list"
    assert 'hotlists.stolen.file: file "later.list" does not exist yet' in warnings


def test_hotlist_of_two_signers_and_a_key_of_its_own_is_accepted(
    accept: Accept, folder: Path
) -> None:
    text = LIST.format("key: other.key, signer: [city.pub, office.pub]")
    config, _ = accept(end=text, broker=BOTH)
    stolen = config.hotlists["stolen"]
    assert stolen.signers == (folder / "city.pub", folder / "office.pub")
    assert stolen.keys == (folder / "other.key",)


def test_hotlist_without_a_plate_camera_is_a_warning(accept: Accept) -> None:
    _, warnings = accept(end=LIST.format("key: box.key, signer: city.pub"))
    assert warnings == ["hotlists: no camera has role plate: nothing is compared with them"]


def test_hotlist_whose_broker_takes_no_hits_is_a_warning(accept: Accept) -> None:
    broker = "{url: mqtt://localhost, send: camera.*}"
    end = LIST.format("key: box.key, signer: city.pub")
    _, warnings = accept(role="plate", end=end, broker=broker)
    assert "hotlists.stolen.send: broker office is sent no plate.hit" in warnings


@pytest.mark.parametrize(("role", "warned"), [("plate", False), ("[traffic, face]", True)])
def test_zones_are_a_warning_where_no_plates_are_read(
    role: str, warned: bool, accept: Accept
) -> None:
    _, warnings = accept(role=role, more="zones: {gate: [[0, 0], [1, 0], [1, 1]]}")
    assert ("cameras.gate-in.zones: not active in this version" in warnings) == warned


def test_cbor_is_a_warning(accept: Accept) -> None:
    _, warnings = accept(broker="{url: mqtt://localhost, encoding: cbor}")
    assert warnings == ["brokers.office.encoding: mahalla audit reads JSON only"]


def test_pseudonym_with_a_legal_ground_is_accepted(accept: Accept) -> None:
    config, warnings = accept(end='privacy: {plates: pseudonym, basis: "decree 12"}')
    assert config.privacy.basis == "decree 12"
    assert (config.privacy.plates, warnings) == ("pseudonym", [])


def test_outbox_is_bounded_by_the_retention(accept: Accept) -> None:
    config, warnings = accept(end="retention: {events: 2d}")
    assert (config.outbox.max_age_s, config.outbox.keep_s) == (2 * 86400, 2 * 86400)
    assert warnings == []


def test_outbox_longer_than_the_retention_is_a_warning(accept: Accept) -> None:
    config, warnings = accept(end="outbox: {max_age: 60d}")
    assert config.outbox.max_age_s == 30 * 86400
    assert warnings == ["outbox.max_age: longer than retention.events"]


def test_load_logs_each_warning(
    write: Write, example: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "agent.config.load"):
        load(write(example))
    assert len(caplog.messages) == 3
    assert caplog.messages[0].endswith(": cameras.gate-in.hours: not active in this version")
    assert "s3cret" not in caplog.text
