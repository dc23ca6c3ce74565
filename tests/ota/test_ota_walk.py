"""The maintainer's page, line by line as it is written, with a real package and the real gate."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from agent.cli import main
from agent.infer.package import read_card

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "deploy" / "KEYS.md").read_text("utf-8")

AGENT = """\
site: alpomish
box: north-gate
cameras:
  gate-in: {role: face, source: "synthetic:street"}
brokers:
  office: {url: "mqtt://127.0.0.1:1", send: all}
"""


def lines() -> list[str]:
    blocks = re.findall(r"(?ms)^```\n(.*?)^```", PAGE)
    text = "".join(blocks).replace("\\\n", " ")
    return [line.partition("#")[0].strip() for line in text.splitlines() if line.strip()]


def test_page_can_be_walked_through(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    (tmp_path / "models").symlink_to(ROOT / "models")
    (tmp_path / "stick").mkdir()
    (tmp_path / "secret").write_text("a long passphrase\n")
    (tmp_path / "canaries.txt").write_text("alpomish/north-gate\n")
    (tmp_path / "fleet.txt").write_text("alpomish/north-gate\nalpomish/south-gate\n")
    (tmp_path / "agent.yaml").write_text(AGENT)
    (tmp_path / "gate-in.yaml").write_text("cameras:\n  gate-in: {preset: market}\n")
    said = {}
    for line in lines():
        words = shlex.split(line)
        if words[0] == "cp":
            (tmp_path / words[2]).write_bytes((tmp_path / words[1]).read_bytes())
            continue
        assert words[:2] == ["mahalla", "ota"], line
        verb = words[2]
        if verb in ("key", "init", "publish", "renew", "halt", "rotate"):
            words += ["--passphrase", "secret"]
        if verb == "add":
            words += ["--slower", "900"]  # the same model: this machine may be busy
        if verb == "publish":
            words.append("--yes")
        if verb in ("apply", "rollback"):
            words += ["--state", "state"]
        code = main(words[1:])
        said[verb] = capsys.readouterr()
        assert code == 0, (line, said[verb])
    version = read_card(ROOT / "models" / "face").version
    assert f"face {version}  on trial" in said["apply"].out
    assert f"face {version}  ok" in said["verify"].out
    assert said["rollback"].out == "active: the installed models\n"
    assert "config/alpomish/north-gate.yaml, version " in said["config"].out
    assert main(["ota", "apply", "stick/models.ota", "--state", "state"]) == 1
    assert "REFUSED: refused before: rolled back" in capsys.readouterr().out


def test_key_is_encrypted_closed_and_never_overwritten(tmp_path, capsys):
    (tmp_path / "secret").write_text("a long passphrase")
    words = ["ota", "key", "--out", str(tmp_path / "a"), "--passphrase", str(tmp_path / "secret")]
    assert main(words) == 0
    assert "ENCRYPTED" in (tmp_path / "a.key").read_text()
    assert (tmp_path / "a.key").stat().st_mode & 0o77 == 0
    assert main(words) == 1
    assert "is there already" in capsys.readouterr().err
    (tmp_path / "secret").write_text("short")
    assert main([*words[:3], str(tmp_path / "b"), *words[4:]]) == 1
    assert not (tmp_path / "b.key").exists()


@pytest.mark.parametrize("verb", ["status", "bundle", "publish"])
def test_folder_that_is_no_repository_is_said(tmp_path, capsys, verb):
    rest = {"bundle": ["--out", str(tmp_path / "x")], "publish": ["--sign", "x.key"]}
    assert main(["ota", verb, str(tmp_path), *rest.get(verb, [])]) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mahalla ota: ")


def test_without_a_terminal_nothing_is_published_unasked(tmp_path, capsys):
    assert main(["ota", "publish", str(tmp_path), "--sign", "a.key"]) == 2
    assert "--yes" in capsys.readouterr().err
