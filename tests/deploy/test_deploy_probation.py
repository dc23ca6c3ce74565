"""A new release of the agent on probation; the test plays systemd's part, as the unit says."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "probation.sh"
UNIT = (ROOT / "systemd" / "mahalla.service").read_text()


class Systemd:
    """Releases whose agents end as told, and the commands of the unit around each run."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "opt"
        self._bin = folder / "bin"
        self._bin.mkdir()
        self.said = ""
        for name in ("1.0", "1.1", "1.2"):
            program = self.home / name / "bin" / "mahalla"
            program.parent.mkdir(parents=True)
            program.write_text("#!/bin/sh\nexit $(cat $(dirname $0)/ends)\n")
            program.chmod(0o755)
            self.ends(name, 0)
        (self.home / "current").symlink_to("1.0")

    def ends(self, release: str, code: int) -> None:
        (self.home / release / "bin" / "ends").write_text(str(code))

    @property
    def current(self) -> str:
        return str((self.home / "current").readlink())

    def __call__(self, *words: str, **environment: str) -> str:
        path = f"{self._bin}:{os.environ['PATH']}"
        done = subprocess.run(
            [SCRIPT, *words],
            env={**os.environ, "MAHALLA_HOME": str(self.home), "PATH": path} | environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        self.said = done.stderr
        return done.stdout

    def upgrade(self, new: str) -> None:
        """As install.sh does it."""
        self("begin", new, self.current)
        (self.home / "current").unlink()
        (self.home / "current").symlink_to(new)

    def run(self, result: str | None = None) -> str:
        """One start and its end, or with "power" a start that nothing ended; which release ran."""
        self._hook("ExecStartPre")
        ran = self.current
        code = subprocess.run([self.home / "current" / "bin" / "mahalla"], timeout=60).returncode
        if result != "power":
            result = result or ("exit-code" if code else "success")
            self._hook("ExecStopPost", SERVICE_RESULT=result)
        return ran

    def _hook(self, key: str, **environment: str) -> None:
        (command,) = re.findall(rf"(?m)^{key}=-\+/opt/mahalla/probation (.*)$", UNIT)
        self(*command.split(), **environment)

    def look(self, state: str, ran_s: int = 0) -> None:
        """The timer, and what systemctl answers it."""
        systemctl = self._bin / "systemctl"
        systemctl.write_text(
            "#!/bin/sh\n"
            f'case "$*" in *ActiveState*) echo {state} ;; *Monotonic*) echo 5000000 ;;'
            f' *) echo "$*" >>{self._bin}/asked ;; esac\n'
        )
        systemctl.chmod(0o755)
        self("look", PROBATION_NOW_S=str(5 + ran_s))

    @property
    def asked(self) -> list[str]:
        file = self._bin / "asked"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def systemd(tmp_path) -> Systemd:
    return Systemd(tmp_path)


def test_release_that_runs_for_ten_minutes_is_kept(systemd):
    systemd.upgrade("1.1")
    assert systemd.run("power") == "1.1"
    systemd.look("active", 599)
    assert "1.1 is on probation: 0 of 3 crashes, 1 of 10 starts; 1.0 is" in systemd("status")
    systemd.look("active", 600)
    assert systemd("status") == "1.1 is kept\n"
    systemd.ends("1.1", 1)
    assert [systemd.run() for _ in range(12)] == ["1.1"] * 12


@pytest.mark.parametrize("result", ["exit-code", "watchdog", "oom-kill"])
def test_release_that_crashes_three_times_is_left(systemd, result):
    systemd.upgrade("1.1")
    assert [systemd.run(result) for _ in range(5)] == ["1.1", "1.1", "1.1", "1.0", "1.0"]
    assert systemd("status") == f"1.0 is kept\nfailed: 1.1 3 crashes, the last: {result}\n"


def test_release_that_ends_by_itself_or_takes_the_box_down_is_left(systemd):
    systemd.upgrade("1.1")
    ran = [systemd.run("success" if number % 2 else "power") for number in range(12)]
    assert ran == ["1.1"] * 10 + ["1.0"] * 2


def test_stops_that_somebody_asked_for_are_no_crashes(systemd):
    systemd.upgrade("1.1")
    assert [systemd.run("success") for _ in range(6)] == ["1.1"] * 6
    systemd.look("active", 700)
    assert systemd("status") == "1.1 is kept\n"


def test_release_that_does_not_like_the_configuration_is_left_at_the_next_look(systemd):
    """Exit code 78: systemd does not start it again."""
    systemd.upgrade("1.1")
    systemd.run("exit-code")
    systemd.look("failed")
    assert (systemd.current, systemd.asked) == ("1.0", ["reset-failed mahalla", "start mahalla"])


def test_second_upgrade_during_a_probation_goes_back_to_what_was_kept(systemd):
    systemd.upgrade("1.1")
    systemd.run("exit-code")
    systemd.upgrade("1.2")
    assert [systemd.run("exit-code") for _ in range(4)] == ["1.2", "1.2", "1.2", "1.0"]


def test_release_put_in_its_place_by_hand_ends_the_probation(systemd):
    systemd.upgrade("1.1")
    (systemd.home / "current").unlink()
    (systemd.home / "current").symlink_to("1.2")
    systemd.run("exit-code")
    assert systemd("status") == "1.2 is kept\n"


@pytest.mark.parametrize("content", ["", "1.1\n", "1.1\n1.0\nx\n0\n", "../../etc\n1.0\n0\n0\n"])
def test_damaged_file_keeps_what_runs(systemd, content):
    systemd.upgrade("1.1")
    (systemd.home / "on-probation").write_text(content)
    assert [systemd.run("exit-code") for _ in range(5)] == ["1.1"] * 5
    assert not (systemd.home / "on-probation").exists()


def test_without_the_old_release_the_new_one_is_tried_for_ever(systemd):
    systemd.upgrade("1.1")
    (systemd.home / "1.0" / "bin" / "mahalla").unlink()
    assert [systemd.run("exit-code") for _ in range(5)] == ["1.1"] * 5
    assert "nothing to go back to" in systemd.said


@pytest.mark.parametrize("step", range(8))
def test_power_cut_at_any_step_of_going_back_leaves_a_release_that_runs(systemd, tmp_path, step):
    """The n-th program that the script would run is not run, nor anything after it."""
    systemd.upgrade("1.1")
    for _ in range(2):
        systemd.run("exit-code")
    count = tmp_path / "count"
    for name in ("ln", "mv", "sync", "rm"):
        real = next(p for p in (Path("/usr/bin") / name, Path("/bin") / name) if p.exists())
        fake = tmp_path / "bin" / name
        fake.write_text(
            f"#!/bin/sh\necho >>{count}\n"
            f'[ $(wc -l <{count}) -le {step} ] && exec {real} "$@"\nkill -9 $PPID\n'
        )
        fake.chmod(0o755)
    environment = {"MAHALLA_HOME": str(systemd.home), "SERVICE_RESULT": "exit-code"}
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    subprocess.run([SCRIPT, "stopped"], env={**os.environ, **environment, "PATH": path}, timeout=60)
    for name in ("ln", "mv", "sync", "rm"):
        (tmp_path / "bin" / name).unlink()
    assert systemd.current in ("1.0", "1.1")
    ran = [systemd.run("exit-code") for _ in range(3)]
    assert ran[-1] == "1.0"


def test_help_and_wrong_words():
    done = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, "probation begin NEW OLD" in done.stdout) == (0, True)
    assert subprocess.run([SCRIPT, "x"], capture_output=True, timeout=30).returncode == 2
