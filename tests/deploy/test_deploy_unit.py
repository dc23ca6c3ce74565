"""The systemd unit: what it promises, and what systemd itself thinks of it."""

from __future__ import annotations

import configparser
import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from daemon import MAHALLA

from agent.run import WRONG_CONFIGURATION

UNIT = Path(__file__).parents[2] / "systemd" / "mahalla.service"
OFFICE_UNIT = UNIT.parents[1] / "deploy" / "office" / "mahalla-office.service"
ANALYZE = shutil.which("systemd-analyze")
PR_SET_MDWE = 65

needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not here")


@pytest.fixture(scope="module")
def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(UNIT)
    return parser


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("Unit", "StartLimitIntervalSec", "0"),  # it never gives up
        ("Service", "Type", "notify"),
        ("Service", "NotifyAccess", "main"),
        ("Service", "Restart", "always"),
        ("Service", "RestartPreventExitStatus", str(WRONG_CONFIGURATION)),
        ("Service", "StateDirectoryMode", "0700"),
        ("Service", "User", "mahalla"),
        ("Service", "NoNewPrivileges", "yes"),
        ("Service", "MemoryDenyWriteExecute", "yes"),
        ("Service", "ProtectSystem", "strict"),
        ("Service", "DevicePolicy", "closed"),
        ("Service", "IPAddressDeny", "any"),
        ("Service", "CapabilityBoundingSet", ""),
        ("Service", "ExecReload", "/bin/kill -HUP $MAINPID"),
    ],
)
def test_unit_says(unit, section, key, value):
    assert unit[section][key] == value


def test_unit_watchdog_outlasts_what_the_agent_calls_stale(unit):
    from agent import daemon

    watchdog_s = float(unit["Service"]["WatchdogSec"])
    assert watchdog_s > daemon._STALE_S
    assert watchdog_s / 3 > daemon._TURN_S
    assert float(unit["Service"]["TimeoutStopSec"]) > 5  # what a stop may take


def test_unit_leaves_the_interpreter_its_view_of_the_processor(unit):
    """With ProcSubset=pid there is no /proc/cpuinfo, and models run at a third of the speed."""
    assert "ProcSubset" not in unit["Service"]


@pytest.mark.parametrize("name", ["coral.conf", "argus.conf"])
def test_drop_in_is_a_part_of_a_unit_and_says_where_it_goes(name):
    text = (UNIT.parent / name).read_text()
    assert f"/etc/systemd/system/mahalla.service.d/{name}" in text
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines[0] == "[Service]"
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+=.*", line) for line in lines[1:])


@needs_systemd
def test_unit_verifies(tmp_path):
    here = tmp_path / UNIT.name
    # ExecStart has to exist for systemd to be content.
    here.write_text(UNIT.read_text().replace("/opt/mahalla/current/bin/mahalla", MAHALLA))
    assert MAHALLA in here.read_text()
    done = subprocess.run(
        [ANALYZE, "verify", str(here)], capture_output=True, text=True, timeout=60
    )
    mine = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (done.returncode, mine) == (0, []), done.stderr


@needs_systemd
@pytest.mark.parametrize("unit", [UNIT, OFFICE_UNIT], ids=lambda unit: unit.stem)
def test_unit_exposes_little(unit):
    words = ("security", "--offline=true", "--threshold=20", str(unit))
    done = subprocess.run([ANALYZE, *words], capture_output=True, text=True, timeout=60)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze is too old for --offline")
    assert done.returncode == 0, done.stdout[-400:] + done.stderr


def test_models_run_where_no_memory_may_become_code():
    """MemoryDenyWriteExecute=yes, as the kernel enforces it."""
    libc = ctypes.CDLL(None, use_errno=True)

    def deny() -> None:
        libc.prctl(PR_SET_MDWE, 1, 0, 0, 0)

    probe = "import ctypes; print(ctypes.CDLL(None).prctl(66, 0, 0, 0, 0))"  # PR_GET_MDWE
    known = subprocess.run(
        ["python3", "-c", probe], preexec_fn=deny, capture_output=True, text=True
    )
    if known.stdout.strip() != "1":
        pytest.skip("this kernel has no PR_SET_MDWE (6.3 and later)")
    done = subprocess.run(
        [MAHALLA, "models", "selftest"],
        preexec_fn=deny,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_update_is_looked_for_each_hour_at_another_moment_and_when_asked():
    from agent.acts import UPDATE_ASKED

    folder = UNIT.parent
    assert f"/var/lib/mahalla/{UPDATE_ASKED}\n" in (folder / "mahalla-ota.path").read_text()
    timer = (folder / "mahalla-ota.timer").read_text()
    assert "RandomizedDelaySec=50min\nFixedRandomDelay=yes\n" in timer
    service = (folder / "mahalla-ota.service").read_text()
    assert "ota apply -c /etc/mahalla/agent.yaml" in service
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "IPAddressDeny=any"):
        assert f"{line}\n" in service and f"{line}\n" in UNIT.read_text()
