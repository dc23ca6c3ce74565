"""A folder with a configuration and the files that it names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from brokers import Certificates

EXAMPLE = """\
site: alpomish
box: north-gate
cameras:
  gate-in:
    role: plate
    source: rtsp://10.0.0.21/stream1
    detect_source: rtsp://10.0.0.21/stream2
    auth: gate-in.cred
    preset: entrance
    name: {uz: "Shimoliy darvoza", ru: "Северные ворота"}
    at: [37.2242, 67.2783]
    zones: {gate: [[0.1, 0.4], [0.9, 0.4], [0.9, 1.0], [0.1, 1.0]]}
    lines: {in: {from: [0, 0.6], to: [1, 0.6], counts: [car, person]}}
    hours: {school: "Mon-Fri 07:30-15:00"}
    rules: {person.crowd: {at: 12, for: 20s}}
brokers:
  office: {url: mqtts://office.lan:8883, ca: ca.pem, cert: box.pem, key: box.key, send: all,
           receipt: seen, commands: [evidence, feedback, resend]}
  city:
    {url: [mqtts://a.city.example:8883, mqtts://b.city.example:8883], protocol: 3.1.1, ca: ca.pem,
     cert: box.pem, key: box.key, send: [plate.hit, camera.*],
     topic: "safecity/{site}/{box}/{camera}/{kind}", encoding: json}
hotlists:
  stolen: {file: stolen.list, signer: city.pub, max_age: 7d, send: [city, office]}
  local:  {file: local.list, signer: office.pub, max_age: 7d, send: [office]}
infer: {threads: 2, delegate: null}
models: {channel: stable, url: "https://office.lan/models/"}
outbox: {max: 500MB, max_age: 30d, keep: 72h}
evidence: {kinds: [plate.hit, camera.blind], keep: 72h, max: 200MB}
privacy: {plates: hits-only}
retention: {events: 30d}
link: {metered: false, budget: 20MB/d}
timezone: Asia/Samarkand
"""
"""Every key there is."""

SIGNER = """\
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""
"""The example of RFC 8410, 10.1."""


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """PEM texts: an authority, and certificates and keys of this box, good for so many days."""
    authority = Certificates(tmp_path_factory.mktemp("authority"))
    texts = {"ca.pem": authority.ca.read_text()}
    for name, days in (("box", 30), ("other", 30), ("old", -1), ("ending", 13), ("lasting", 15)):
        cert, key = authority.issue(name, days=days)
        texts |= {f"{name}.pem": cert.read_text(), f"{name}.key": key.read_text()}
    return texts


@pytest.fixture
def folder(tmp_path: Path, certificates: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with every file that the cases name, fit for use."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    files = {
        "gate-in.cred": ("viewer:s3cret\n", 0o600),
        "open.cred": ("viewer:s3cret\n", 0o644),
        "odd.cred": ("only-a-word\n", 0o600),
        "two.cred": ("viewer:s3cret\nviewer:hunter2\n", 0o600),
        "bom.cred": ("\ufeffviewer:hunter2\n", 0o600),
        "open.key": (certificates["box.key"], 0o640),
        "locked.key": (certificates["box.key"].replace("PRIVATE", "ENCRYPTED PRIVATE"), 0o600),
        "stolen.list": ("", 0o644),
        "local.list": ("", 0o644),
        "city.pub": (SIGNER, 0o644),
        "office.pub": (SIGNER, 0o644),
        "third.pub": (SIGNER, 0o644),
        "street.mp4": ("", 0o644),
    }
    files |= {
        name: (text, 0o600 if name.endswith(".key") else 0o644)
        for name, text in certificates.items()
    }
    for name, (text, mode) in files.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Callable[[str | bytes], Path]:
    """Writes a configuration into the folder."""

    def write_config(content: str | bytes) -> Path:
        path = folder / "agent.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_config


@pytest.fixture(scope="session")
def example() -> str:
    return EXAMPLE
