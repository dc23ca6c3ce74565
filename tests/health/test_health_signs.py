"""Vital signs on boards with and without sensors, and the word to systemd."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time

import pytest

from agent import health
from agent.health import CpuMeter, Systemd

HELD = """
from agent.health import rss_mb
before_mb = rss_mb()
held = bytearray(b"x") * 50_000_000
print(rss_mb() - before_mb)
"""


def test_rss_grows_with_what_is_held():
    # In a process of its own: here others' memory comes and goes meanwhile.
    done = subprocess.run([sys.executable, "-c", HELD], capture_output=True, check=True)
    assert 45 < float(done.stdout) < 60


def zones(root, monkeypatch, *sensors):
    for number, (kind, temp) in enumerate(sensors):
        zone = root / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "type").write_text(kind + "\n")
        if temp is not None:
            (zone / "temp").write_text(temp)
    monkeypatch.setattr(health, "_THERMAL", root)


@pytest.mark.parametrize(
    ("content", "degrees"), [("61234\n", 61.234), ("", None), ("hot\n", None), (None, None)]
)
def test_temperature_is_absent_where_no_sensor_tells_it(tmp_path, monkeypatch, content, degrees):
    zones(tmp_path, monkeypatch, ("cpu-thermal", content))
    assert health.temperature_c() == degrees


def test_temperature_is_of_the_hottest_part_of_the_processor(tmp_path, monkeypatch):
    # A Jetson's power chip says 100 degrees for ever.
    sensors = ("CPU-therm", "50500"), ("GPU-therm", "52000"), ("PMIC-Die", "100000")
    zones(tmp_path, monkeypatch, *sensors)
    assert health.temperature_c() == 52.0


@pytest.mark.parametrize(("content", "bits"), [("50005\n", 0x50005), ("0\n", 0), (None, None)])
def test_throttling_is_absent_on_other_boards(tmp_path, monkeypatch, content, bits):
    firmware = tmp_path / "get_throttled"
    if content is not None:
        firmware.write_text(content)
    monkeypatch.setattr(health, "_THROTTLED", firmware)
    assert health.throttled() == bits


def test_disk_free_is_a_share_and_absent_without_the_folder(tmp_path):
    free = health.disk_free_percent(tmp_path)
    assert free is not None
    assert 0 < free < 100
    assert health.disk_free_percent(tmp_path / "gone") is None


def test_cpu_is_of_the_time_since_the_last_look():
    meter, began_s = CpuMeter(), time.monotonic()
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    busy = meter.percent()
    assert busy > 0.8 * 100 * 0.2 / (time.monotonic() - began_s)  # others may have had the core
    time.sleep(0.3)
    assert meter.percent() < busy / 2


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_notify_reaches_the_socket_it_was_given(tmp_path, kind):
    name = str(tmp_path / "notify") if kind == "path" else f"@mahalla-health-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name.replace("@", "\0", 1) if kind == "abstract" else name)
        systemd.settimeout(2)
        Systemd(name).notify("READY=1", "STATUS=two cameras")
        assert systemd.recv(100) == b"READY=1\nSTATUS=two cameras"


def test_notify_on_a_socket_nobody_reads_never_blocks(tmp_path):
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(name)
        systemd = Systemd(name)
        speaking = threading.Thread(
            target=lambda: [systemd.notify("WATCHDOG=1") for _ in range(2000)], daemon=True
        )
        speaking.start()
        speaking.join(5)
        assert not speaking.is_alive()


@pytest.mark.parametrize("address", [None, "", "/nowhere/notify", "@mahalla-nobody-is-here"])
def test_notify_without_a_listener_is_silent(address):
    Systemd(address).notify("READY=1")
