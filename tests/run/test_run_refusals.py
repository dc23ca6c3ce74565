"""What `mahalla run` does not start with: said in a line, with the right exit code."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from pathlib import Path

import pytest
from brokers import free_port, wait_until
from daemon import MAHALLA, Agent, agent_yaml
from samples import DRAWN, face_camera

NOWHERE = f"mqtt://127.0.0.1:{free_port()}"

WRONG = """\
site: Alpomish
box: north-gate
cameras:
  gate: {role: faces, source: "rtsp://u:p@10.0.0.1/x"}
brokers:
  office: {url: mqtt://10.0.0.5}
"""


def run_to_its_end(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MAHALLA, "run", "-c", str(folder / "agent.yaml")],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )


def one_line(text: str) -> str:
    (line,) = text.strip().splitlines()
    assert "Traceback" not in line
    return line


def test_wrong_configuration_exits_78_with_every_problem(tmp_path):
    (tmp_path / "agent.yaml").write_text(WRONG)
    done = run_to_its_end(tmp_path)
    assert done.returncode == 78
    lines = done.stderr.splitlines()
    assert all(line.startswith("mahalla run: ") for line in lines)
    for line, path in ((1, "site"), (4, "cameras.gate.role"), (4, "cameras.gate.source")):
        assert any(f"agent.yaml:{line}:" in said and path in said for said in lines), done.stderr
    assert any("brokers.office.url" in said for said in lines)
    assert not (tmp_path / "state").exists()


def test_configuration_that_is_missing_exits_78(tmp_path):
    done = run_to_its_end(tmp_path)
    assert done.returncode == 78
    assert "agent.yaml" in one_line(done.stderr)


def test_clip_that_was_never_there_exits_78(tmp_path):
    camera = '{role: face, source: "clip:none.mp4"}'
    (tmp_path / "agent.yaml").write_text(agent_yaml({"gate": camera}, NOWHERE))
    done = run_to_its_end(tmp_path)
    assert done.returncode == 78
    assert "none.mp4" in one_line(done.stderr)


@pytest.mark.parametrize("harm", ["missing", "truncated", "altered", "no-package"])
def test_model_that_is_no_good_exits_1_and_names_the_file(tmp_path, models, harm):
    (file,) = (models / "face").glob("*.tflite")
    content = file.read_bytes()
    if harm == "missing":
        file.unlink()
    elif harm == "truncated":
        file.write_bytes(content[:1000])
    elif harm == "altered":
        file.write_bytes(content[:-1] + b"x")
    else:
        shutil.rmtree(models / "face")
    (tmp_path / "agent.yaml").write_text(agent_yaml({"gate": face_camera()}, NOWHERE))
    done = run_to_its_end(tmp_path, MAHALLA_MODELS=str(models))
    assert done.returncode == 1
    line = one_line(done.stderr)
    assert line.startswith("mahalla run: ")
    assert ("face" if harm == "no-package" else file.name) in line


def test_delegate_that_is_missing_exits_1_and_says_what_to_do(tmp_path):
    more = "infer: {delegate: libnosuch.so.1}\n"
    (tmp_path / "agent.yaml").write_text(agent_yaml({"gate": face_camera()}, NOWHERE, more))
    done = run_to_its_end(tmp_path)
    assert done.returncode == 1
    line = one_line(done.stderr)
    assert "libnosuch.so.1" in line
    assert "delegate: null" in line


@pytest.mark.parametrize("harm", ["read-only", "a-file"])
def test_state_that_cannot_be_written_exits_1_and_says_so(tmp_path, harm):
    state = "/sys/mahalla" if harm == "read-only" else str(tmp_path / "file")
    (tmp_path / "file").write_text("")
    (tmp_path / "agent.yaml").write_text(agent_yaml({"drawn": DRAWN}, NOWHERE))
    done = run_to_its_end(tmp_path, STATE_DIRECTORY=state)
    assert done.returncode == 1
    line = one_line(done.stderr)
    assert line.startswith(f"mahalla run: {state}: ")
    assert "folder" in line


def test_second_agent_on_the_same_state_is_refused_and_the_first_goes_on(tmp_path):
    with Agent(tmp_path, agent_yaml({"drawn": DRAWN}, NOWHERE)) as first:
        first.start()
        done = run_to_its_end(tmp_path)
        assert done.returncode == 1
        assert "another agent runs on this state" in one_line(done.stderr)
        assert first.stop()[0] == 0
        assert run_after(first) == 0


def run_after(agent: Agent) -> int:
    """The state is free again once the first has gone."""
    agent.start()
    return agent.stop()[0]


def test_disk_that_takes_no_more_costs_nothing_once_it_has_room_again(tmp_path):
    # A file that may not grow is what a full disk is to SQLite, without root's tricks.
    lines = ", ".join(
        f"l{i}: {{from: [{0.1 + i / 100:.2f}, 0], to: [{0.1 + i / 100:.2f}, 1], counts: [car]}}"
        for i in range(16)
    )
    camera = f"{{role: traffic, source: synthetic:street, lines: {{{lines}}}}}"
    with Agent(tmp_path, agent_yaml({"drawn": camera}, NOWHERE)) as agent:
        agent.largest_file_bytes = 24_000
        agent.start()
        wait_until(lambda: "messages wait in memory" in agent.log(), 15, "the disk is full")
        beats = len(agent.systemd.times("WATCHDOG=1"))
        wait_until(lambda: len(agent.systemd.times("WATCHDOG=1")) > beats, what="still alive")
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, unlimited)
        wait_until(lambda: "can be written again" in agent.log(), what="the disk has room")
        code, took_s = agent.stop()
        assert (code, took_s < 5) == (0, True), agent.log()
        assert not {"Traceback", "lost"} & set(agent.log().split())
        numbers = [sq for (sq,) in agent.stored("SELECT sq FROM delivery ORDER BY sq")]
        assert numbers == list(range(1, len(numbers) + 1))
