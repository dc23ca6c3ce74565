"""The units of the machine that holds online.key: they call commands that are there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.cli import main

FLEET = Path(__file__).parents[2] / "deploy" / "fleet"
ANALYZE = shutil.which("systemd-analyze")


@pytest.mark.parametrize("name", ["mahalla-fleet", "mahalla-renew"])
def test_unit_calls_a_command_that_gets_as_far_as_its_key(name, tmp_path, monkeypatch, capsys):
    text = (FLEET / f"{name}.service").read_text()
    (words,) = re.findall(r"(?m)^ExecStart=/opt/mahalla/current/bin/mahalla (.*)$", text)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "online").write_text("a long passphrase\n")
    (tmp_path / "fleet.txt").write_text("a/b\n")
    assert main(words.replace("${CREDENTIALS_DIRECTORY}", str(tmp_path)).split()) == 1
    assert "online.key: No such file" in capsys.readouterr().err


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not here")
def test_units_are_what_systemd_takes(tmp_path):
    for unit in FLEET.iterdir():
        text = unit.read_text().replace("/opt/mahalla/current/bin/mahalla", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    units = [str(path) for path in tmp_path.iterdir()]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True
    )
    said = [line for line in done.stderr.splitlines() if "mahalla-" in line]
    assert said == [], done.stderr
