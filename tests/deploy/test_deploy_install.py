"""deploy/install.sh for real, into a folder: twice, with the first release kept."""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from samples import FACES, clip

from agent import __version__

ROOT = Path(__file__).parents[2]
UNREACHABLE = (
    "No matching distribution found",
    "Failed to establish",
    "Connection",
    "Temporary failure",
)
LONG_AGO = 1_577_836_800


@dataclass(frozen=True)
class Installed:
    checkout: Path
    root: Path

    @property
    def home(self) -> Path:
        return self.root / "opt" / "mahalla"

    @property
    def releases(self) -> set[str]:
        return {
            each.name for each in self.home.iterdir() if each.is_dir() and not each.is_symlink()
        }

    @property
    def current(self) -> str:
        return str((self.home / "current").readlink())

    def install(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["deploy/install.sh", "--into", str(self.root)],
            cwd=self.checkout,
            # Compiled or not makes no difference but for a quarter of the time.
            env={**os.environ, "PYTHON": sys.executable, "PIP_NO_COMPILE": "1", **environment},
            capture_output=True,
            text=True,
            timeout=600,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Installed:
    """One installation from a copy of this checkout; the copy shares our models."""
    checkout = tmp_path_factory.mktemp("checkout")
    for name in ("agent", "deploy", "models", "systemd"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("LICENSE", "Makefile", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, checkout / name)
    made = Installed(checkout, tmp_path_factory.mktemp("box"))
    done = made.install()
    if done.returncode and any(word in done.stderr for word in UNREACHABLE):
        pytest.skip(f"the package index cannot be reached: {done.stderr.splitlines()[-1][:200]}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"installed below {made.root}" in done.stdout
    return made


def test_install_gives_a_release_that_works_by_itself(installed, tmp_path):
    assert (installed.releases, installed.current) == ({__version__}, __version__)
    program = installed.home / "current" / "bin" / "mahalla"
    alone = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}

    def mahalla(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *words],
            cwd=tmp_path,
            env={**alone, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert mahalla("--version").stdout == f"mahalla-agent {__version__}\n"
    assert "example: mahalla" in mahalla("--help").stdout
    assert mahalla("models", "verify").returncode == 0
    played = mahalla("replay", str(clip(FACES)), "--role", "face")
    assert (played.returncode, '"k":"face.present"' in played.stdout) == (0, True), played.stderr
    where = mahalla("models", "eval", "plate", "x")  # which agent is it that runs?
    assert where.returncode == 1
    python = installed.home / "current" / "bin" / "python"
    code = "import agent; print(agent.__file__)"
    found = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert found.stdout.startswith(str(installed.home))


def test_install_puts_the_unit_where_systemd_looks_and_touches_nothing_else(installed):
    unit = installed.root / "etc" / "systemd" / "system" / "mahalla.service"
    assert unit.read_text() == (ROOT / "systemd" / "mahalla.service").read_text()
    assert unit.stat().st_mode & 0o777 == 0o644
    assert {each.name for each in installed.root.iterdir()} == {"opt", "etc"}
    assert list((installed.root / "etc" / "mahalla").iterdir()) == []


def test_install_that_fails_leaves_the_old_one_working(installed, tmp_path):
    # Right until it makes the environment, then the power goes, so to say.
    python = tmp_path / "python"
    cut_off = 'if [ "$1" = -m ]; then mkdir -p "$3/bin"; exit 1; fi'
    python.write_text(f'#!/bin/sh\n{cut_off}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    before = (installed.releases, installed.current)
    done = installed.install(PYTHON=str(python))
    assert done.returncode != 0
    assert (installed.releases, installed.current) == before


def test_install_with_a_python_that_will_not_do_says_which_will(installed):
    done = installed.install(PYTHON="no-such-python")
    assert done.returncode == 1
    assert "no-such-python not found; install Python 3.10-3.13" in done.stderr


def test_second_install_switches_at_once_and_keeps_the_first(installed, tmp_path):
    for old in ("0.0.1", "0.0.2"):
        (installed.home / old).mkdir()
        os.utime(installed.home / old, (LONG_AGO, LONG_AGO))
    # The packages were installed once; the second release borrows them to save the time.
    (installed.checkout / "deploy" / "locks" / "run.lock").write_text("")
    (site,) = (installed.home / __version__ / "lib").glob("python3*/site-packages")
    for package in site.iterdir():
        if package.name != "agent" and not package.name.startswith("mahalla_agent"):
            (tmp_path / package.name).symlink_to(package)
    seen, ended = set(), threading.Event()

    def watch() -> None:
        while not ended.wait(0.001):
            try:
                seen.add(installed.current)
            except OSError as error:
                seen.add(str(error))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        done = installed.install(PYTHONPATH=str(tmp_path))
    finally:
        ended.set()
        watching.join()
    assert done.returncode == 0, done.stdout + done.stderr
    second = f"{__version__}-2"
    assert installed.current == second
    assert seen <= {__version__, second}  # never missing in between
    assert installed.releases == {__version__, second}  # the one before is kept, older ones go
    assert (installed.home / __version__ / "bin" / "mahalla").exists()
    said = subprocess.run(
        [installed.home / "probation", "status"],
        env={**os.environ, "MAHALLA_HOME": str(installed.home)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert said.stdout.startswith(f"{second} is on probation: 0 of 3 crashes")


def test_wheel_holds_the_agent_and_its_terms_alone(installed):
    (wheel,) = (installed.checkout / "dist").glob("*.whl")
    assert wheel.name == f"mahalla_agent-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        folder = f"mahalla_agent-{__version__}.dist-info"
        about = email.message_from_bytes(archive.read(f"{folder}/METADATA"))
        entry = archive.read(f"{folder}/entry_points.txt").decode()
    assert {name.split("/")[0] for name in names} == {"agent", folder}
    assert not [name for name in names if name.endswith((".tflite", ".npz", ".pyc"))]
    assert f"{folder}/licenses/LICENSE" in names
    assert about["License-Expression"] == "Apache-2.0"
    assert set(about["Requires-Python"].split(",")) == {">=3.10", "<3.14"}
    assert "mahalla = agent.cli:main" in entry


@pytest.mark.parametrize("words", [("--into",), ("--frobnicate",)])
def test_install_with_wrong_words_is_one_line(words):
    done = subprocess.run(
        [ROOT / "deploy" / "install.sh", *words], capture_output=True, text=True, timeout=30
    )
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert "install" in line


def test_install_help_says_how_it_is_called():
    done = subprocess.run(
        [ROOT / "deploy" / "install.sh", "--help"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0
    assert "--into FOLDER" in done.stdout
    assert not done.stdout.startswith("#")
