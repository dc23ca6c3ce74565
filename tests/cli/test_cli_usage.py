"""The command line as people meet it: help, mistakes, pipes."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import MAHALLA

from agent import __version__
from agent.cli import main, parser

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
CONTRACT = Path(__file__).parents[3] / "shared" / "design" / "contract.md"

BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
"""As in a shell: what is written reaches the pipe late, at the end of the process perhaps."""


def subcommands(
    of: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield (*words, name), inner
                yield from subcommands(inner, (*words, name))


COMMANDS = dict(subcommands(parser()))
COMMAND_NAMES = {words[0] for words in COMMANDS}
LEAVES = [words for words in COMMANDS if not any(w[: len(words)] == words != w for w in COMMANDS)]


def mahalla(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MAHALLA, *arguments], capture_output=True, text=True, timeout=60, **options
    )


@pytest.mark.parametrize("words", [(), *COMMANDS], ids=lambda words: " ".join(words) or "mahalla")
def test_help_shows_an_example_that_parses(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    shown = re.search(r"(?ms)^example: mahalla (.+?)(\n\n|\Z)", capsys.readouterr().out)
    assert shown
    example = " ".join(shown[1].split())
    assert example.startswith(" ".join(words))
    for each in example.split("&& mahalla "):
        assert parses(each.partition(">")[0].split()), each


def parses(arguments: list[str]) -> bool:
    try:
        parser().parse_args(arguments)
    except SystemExit as ended:
        return ended.code == 0
    return True


def readme_lines() -> list[str]:
    """What README tells people to type after `mahalla`."""
    spans = re.findall(r"`mahalla ([^`]+)`", README)
    blocks = re.findall(r"(?ms)^```\n(.*?)^```", README)
    typed = [
        found[1]
        for block in blocks
        for line in block.splitlines()
        if (found := re.match(r"(?:sudo (?:-u \S+ )?)?(?:\S*/)?mahalla (.+?)\s*(?:#.*)?$", line))
    ]
    assert spans
    assert typed
    sentences = [line for line in spans if line in COMMAND_NAMES]  # `mahalla check` also prints…
    placeholders = [line for line in spans if line.startswith("COMMAND")]
    return [line for line in spans + typed if line not in sentences + placeholders]


@pytest.mark.parametrize("line", dict.fromkeys(readme_lines()))
def test_readme_line_parses(line):
    plain = line.replace("[", "").replace("]", "").replace(" N", " 1")
    assert parses(plain.split()), line


def test_readme_line_that_is_wrong_is_noticed(capsys):
    assert not parses(["replay", "CLIP", "--role", "bicycle"])
    assert not parses(["replya", "CLIP"])
    assert not parses(["demo", "--second"])
    assert "invalid choice" in capsys.readouterr().err


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_readme_names_every_command(words):
    assert any(line.split()[: len(words)] == list(words) for line in readme_lines())


def test_no_argument_is_cut_short_by_guessing():
    """An abbreviation that works today is a script that breaks tomorrow."""
    assert not parses(["replay", "x.mp4", "--rol", "face"])
    assert not parses(["models", "eval", "face", "x", "--pred", "y"])


@pytest.mark.parametrize(
    "arguments",
    [("nosuch",), ("models",), ("models", "nosuch"), ("replay",), ("run", "--fast"),
     ("demo", "--seconds", "soon"), ("demo", "--seconds", "-1"), ("demo", "--seconds", "nan"),
     ("replay", "x.mp4"), ("replay", "synthetic:street", "--role", "face"),
     ("replay", "x.mp4", "--role", "face", "--preset", "beach"),
     ("replay", "x.mp4", "--role", "face", "--start", "yesterday"),
     ("replay", "x.mp4", "--role", "face", "--start", "99999999999999999999"),
     ("replay", "x.mp4", "--role", "face", "--threads", "0"),
     ("replay", "x.mp4", "--role", "face", "--threads", "-3"),
     ("replay", "x.mp4", "--role", "face", "--camera", "Gate In"),
     ("replay", __file__, "--role", "face", "--out", __file__),
     ("replay", __file__, "--role", "face", "--video", __file__),
     ("models", "bench", "--threads", "0"),
     ("models", "eval", "face", "x.jsonl", "--budget", "0"),
     ("check",), ("schema", "nosuch")],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_exits_2_and_says_what_is_right(arguments, capsys):
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("mahalla")


@pytest.mark.parametrize(
    "arguments",
    [("replay", "no.mp4", "--role", "face"), ("replay", ".", "--role", "face"),
     ("replay", __file__, "--role", "face"),
     ("replay", "synthetic:desert?seconds=1", "--role", "face"),
     ("replay", "synthetic:blank?seconds=1", "--role", "traffic", "--out", "no/such/folder"),
     ("replay", "synthetic:blank?seconds=1", "--role", "traffic", "--video", "no/such.mp4"),
     ("replay", "synthetic:blank?seconds=1", "-c", "no.yaml"),
     ("models", "eval", "face", "no.jsonl"), ("models", "eval", "plate", "no.jsonl"),
     ("models", "eval", "face", ".")],
    ids=" ".join,
)  # fmt: skip
def test_problem_exits_1_with_one_line(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith(f"mahalla {arguments[0]}: ")


def test_debug_shows_the_traceback_that_is_hidden_without_it(tmp_path):
    arguments = ("replay", str(tmp_path / "no.mp4"), "--role", "face")
    plain, debug = mahalla(*arguments), mahalla("--debug", *arguments)
    assert plain.returncode == debug.returncode == 1
    assert len(plain.stderr.splitlines()) == 1
    assert debug.stderr.startswith("Traceback")
    assert "no such clip" in debug.stderr.splitlines()[-1]


def test_version_imports_nothing_heavy():
    code = (
        "import sys; from agent.cli import main\n"
        "try: main(['--version'])\n"
        "finally: print(*sorted({'numpy', 'cv2', 'av', 'ai_edge_litert', 'paho', 'sqlite3'}"
        " & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == (f"mahalla-agent {__version__}\n", "\n")


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("--version",), ("replay", "--help"), ("schema", "asyncapi"),
     ("models", "list"), ("replay", "synthetic:street?seconds=9", "--role", "traffic")],
    ids=" ".join,
)  # fmt: skip
def test_reader_that_has_gone_is_no_error(arguments):
    """`mahalla … | head` with a head that has already left."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run(
            [MAHALLA, *arguments],
            stdout=write_end,
            stderr=subprocess.PIPE,
            timeout=60,
            env=BUFFERED,
        )
    finally:
        os.close(write_end)
    assert (done.returncode, done.stderr) == (0, b"")


def test_full_disk_behind_stdout_is_one_line():
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    with full.open("w") as out:
        done = subprocess.run(
            [MAHALLA, "schema", "events"],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            env=BUFFERED,
        )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("mahalla schema: ")
    assert "No space left" in line


def test_interrupt_is_no_traceback(monkeypatch, capsys):
    monkeypatch.setattr("agent.check.check", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(["check", "x.yaml"]) == 130
    assert capsys.readouterr().err == ""


def test_commands_are_those_of_the_contract():
    if not CONTRACT.exists():
        pytest.skip("the contract is not beside this checkout")
    listed = set(re.findall(r"(?m)^\| `mahalla ([a-z]+)", CONTRACT.read_text("utf-8")))
    assert listed >= COMMAND_NAMES


def test_no_words_at_all_show_what_there_is(capsys):
    assert main([]) == 2
    told = capsys.readouterr().err
    for command in ("run", "demo", "replay", "check", "models", "schema"):
        assert f"\n    {command} " in told
