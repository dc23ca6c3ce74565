"""A new release of the agent on probation under a real systemd, in namespaces of its own.

The units are the project's, without what locks them in (`test_deploy_unit.py` has that) and with
shorter waits. The agent is a few lines that end, hang or run as told.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from brokers import wait_until

ROOT = Path(__file__).parents[2]
SYSTEMD = Path("/lib/systemd/systemd")
APART = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--cgroup", "--uts", "--ipc"]
APART += ["--mount-proc", "sh"]
KEPT = r"(?m)^(\[.*|(Type|NotifyAccess|Exec\w+|Restart\w*|StartLimit\w*|Condition\w+|On\w+)=.*)$"
WAIT_S = 90

BOOT = """\
set -e
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /opt
mkdir /opt/mahalla
mount --bind {home} /opt/mahalla
mount -t cgroup2 none /sys/fs/cgroup
export SYSTEMD_UNIT_PATH={units} container=other SYSTEMD_LOG_TARGET=console
exec {systemd} --system --unit=box.target
"""
AGENT = """\
#!{python}
import os, socket, sys, time
how = open(os.path.join(os.path.dirname(__file__), "how")).read()
if how.isdecimal():
    sys.exit(int(how))
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1))
    notify.send(b"READY=1")
    while how != "leaves":
        open("/opt/mahalla/ran", "a").write(os.path.realpath(__file__).split("/")[-3] + "\\n")
        if how == "runs":
            notify.send(b"WATCHDOG=1")
        time.sleep(0.2)
"""


def _is_possible() -> bool:
    if os.getuid() or not SYSTEMD.exists() or not shutil.which("unshare"):
        return False
    tried = "mount -t tmpfs tmpfs /run && mount -t cgroup2 none /sys/fs/cgroup"
    return not subprocess.run([*APART, "-c", tried], capture_output=True).returncode


class Machine:
    """One box: systemd as its first process, two releases, the second on probation."""

    def __init__(self, folder: Path, how: str, now_s: int) -> None:
        self.home, units = folder / "opt", folder / "units"
        units.mkdir()
        for name, ends in (("1.0", "runs"), ("1.1", how)):
            program = self.home / name / "bin" / "mahalla"
            program.parent.mkdir(parents=True)
            program.write_text(AGENT.format(python=sys.executable))
            program.chmod(0o755)
            program.with_name("how").write_text(ends)
        (self.home / "current").symlink_to("1.1")
        script = self.home / "probation"
        shutil.copy(ROOT / "deploy" / "probation.sh", script)
        home = {**os.environ, "MAHALLA_HOME": str(self.home)}
        subprocess.run([script, "begin", "1.1", "1.0"], env=home, check=True)
        rest = {
            "mahalla.service": "RestartSec=100ms\nWatchdogSec=2s\n",
            "mahalla-probation.service": f"Environment=PROBATION_NOW_S={now_s}\n" if now_s else "",
            "mahalla-probation.timer": "OnBootSec=1s\nOnUnitActiveSec=1s\nAccuracySec=100ms\n",
        }
        for name, last in rest.items():
            lines = re.findall(KEPT, (ROOT / "systemd" / name).read_text())
            text = "\n".join(line for line, _ in lines if not line.startswith("[Install"))
            unit = text.replace("[Unit]", "[Unit]\nDefaultDependencies=no")
            (units / name).write_text(f"{unit}\n{last}")
        wants = "Wants=mahalla.service mahalla-probation.timer"
        (units / "box.target").write_text(f"[Unit]\nDefaultDependencies=no\n{wants}\n")
        boot = folder / "boot.sh"
        boot.write_text(BOOT.format(home=self.home, units=units, systemd=SYSTEMD))
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [*APART, str(boot)], stdout=self._log, stderr=self._log, start_new_session=True
        )

    @property
    def current(self) -> str:
        return str((self.home / "current").readlink())

    @property
    def refused(self) -> str:
        file = self.home / "refused"
        return file.read_text().strip() if file.exists() else ""

    def ran(self) -> str:
        """The release that ran last."""
        file = self.home / "ran"
        return file.read_text().split()[-1] if file.exists() else ""

    def off(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)
        self._log.close()


@pytest.fixture
def machine(tmp_path):
    if not _is_possible():
        pytest.skip("no systemd that may run in namespaces of its own here (root, systemd 252+)")
    machines = []

    def start(how: str, now_s: int = 0) -> Machine:
        machines.append(Machine(tmp_path, how, now_s))
        return machines[-1]

    yield start
    for each in machines:
        each.off()


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("1", "1.1 3 crashes, the last: exit-code"),
        ("hangs", "1.1 3 crashes, the last: watchdog"),
        ("0", "1.1 3 crashes, the last: protocol"),
        ("leaves", "1.1 started 10 times and never ran for long"),
        ("78", "1.1 does not start"),
    ],
)
def test_release_that_does_not_run_under_systemd_gives_way_to_the_one_before(machine, how, why):
    box = machine(how)
    wait_until(lambda: box.refused and box.ran() == "1.0", WAIT_S)
    assert (box.current, box.refused) == ("1.0", why)
    assert not (box.home / "on-probation").exists()


def test_release_that_runs_under_systemd_is_kept(machine):
    box = machine("runs", now_s=round(time.monotonic()) + 100_000)
    wait_until(lambda: not (box.home / "on-probation").exists(), WAIT_S)
    assert (box.current, box.refused, box.ran()) == ("1.1", "", "1.1")
