"""The gate on this very machine, with the real runtime and a real model."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from ota_maintainer import release

from agent.errors import ModelError, UpdateError
from agent.infer.model import open_model
from agent.infer.package import find_package, read_card
from agent.ota import gate

FACE = Path(__file__).parents[2] / "models" / "face"
VERSION = read_card(FACE).version


def of(slower_percent: int):
    return release(VERSION, limits={"slower_percent": slower_percent})


@pytest.fixture
def face(tmp_path) -> Path:
    return shutil.copytree(FACE, tmp_path / "new" / "face")


def test_good_package_passes_with_what_was_measured(face):
    assert "% of the present model's time" in gate.try_out(face, FACE, of(400))
    assert "deviation" in gate.try_out(face, None, of(100))


def test_slower_than_the_release_allows_is_refused(face):
    with pytest.raises(UpdateError, match=r"1 % is allowed"):
        gate.try_out(face, FACE, of(1))


def test_other_outputs_than_the_golden_samples_are_refused(face):
    sample = next((face / "golden").glob("*.npz"))
    with np.load(sample) as golden:
        kept = dict(golden)
    kept["value_0"] = kept["value_0"] + 5
    np.savez(sample, **kept)
    with pytest.raises(UpdateError, match="outputs are off"):
        gate.try_out(face, None, of(100))


def test_right_hash_over_nonsense_is_refused(face):
    import hashlib

    card = read_card(face)
    card.file.write_bytes(b"nonsense" * 1000)
    text = (face / "model.toml").read_text()
    sha256 = hashlib.sha256(b"nonsense" * 1000).hexdigest()
    (face / "model.toml").write_text(text.replace(card.sha256, sha256))
    with pytest.raises(UpdateError, match="selftest failed"):
        gate.try_out(face, None, of(100))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [('task = "face"', 'task = "object"', "task"), (f'"{VERSION}"', '"9"', "card says version 9")],
)
def test_card_that_differs_from_the_release_is_refused(face, old, new, words):
    text = (face / "model.toml").read_text()
    (face / "model.toml").write_text(text.replace(old, new))
    with pytest.raises(UpdateError, match=words):
        gate.try_out(face, FACE, of(400))


def child(tmp_path, monkeypatch, program: str) -> None:
    """The child is this program instead of the agent."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{program}\n")
    python.chmod(0o755)
    monkeypatch.setattr(gate.sys, "executable", str(python))


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("kill -SEGV $$", "died of signal 11"),
        ("exec sleep 60", "not done after"),
        ("echo nonsense", "no answer"),
        ("echo '[]'", "selftest failed"),
        ("echo '[{}]'; exit 1", "selftest failed"),
    ],
)
def test_child_that_crashes_hangs_or_talks_nonsense_is_a_refusal(
    face, tmp_path, monkeypatch, program, words
):
    monkeypatch.setattr(gate, "_LONGEST_S", 1 if "sleep" in program else 60)
    child(tmp_path, monkeypatch, program)
    with pytest.raises(UpdateError, match=words):
        gate.try_out(face, None, of(100))


def test_child_is_the_first_to_go_when_memory_runs_out(face, tmp_path, monkeypatch):
    child(tmp_path, monkeypatch, "cat /proc/self/oom_score_adj >&2; exit 1")
    with pytest.raises(UpdateError, match="selftest failed: 1000"):
        gate.try_out(face, None, of(100))


def test_child_that_eats_memory_is_a_refusal(face, tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "_MOST_BYTES", 200 << 20)
    python = sys.executable
    eat = f"exec {python} -c 'x = []\nwhile True: x.append(bytes(1 << 20))'"
    child(tmp_path, monkeypatch, eat)
    with pytest.raises(UpdateError, match="MemoryError"):
        gate.try_out(face, None, of(100))


ANSWERS = """\
case "$3 $4" in
"models selftest") case $(ls $MAHALLA_MODELS) in new) mb={new_mb} ;; *) mb=100 ;; esac
    echo "[{{\\"ok\\":true,\\"deviation\\":0,\\"allowed\\":1,\\"rss_mb\\":$mb}}]" ;;
"models bench") echo '[{{"ms":10}},{{"ms":{new_ms}}},{{"ms":10}}]' ;;
"models eval") case $(readlink $MAHALLA_MODELS/face) in {new}) ap={new_ap} ;; *) ap=0.90 ;; esac
    echo "{{\\"ap50\\":$ap}}" ;;
esac"""


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        ({}, None),
        ({"new_mb": 151}, "heavy"),  # 50 MB more than the present one's may be
        ({"new_mb": 150, "free_mb": 290}, "heavy"),  # and half of what this box has left
        ({"new_ms": 12.1}, "slow"),
        ({"new_ap": 0.88}, "less-accurate"),
        ({"new_ap": 0.89}, None),
    ],
)
def test_model_that_costs_more_or_sees_less_than_the_release_allows_is_refused(
    face, tmp_path, monkeypatch, figures, why
):
    usual = {"new_mb": 120, "new_ms": 11, "new_ap": 0.91, "free_mb": 4000, "new": face}
    (face / "golden" / gate.LABELS).write_text("{}\n")
    child(tmp_path, monkeypatch, ANSWERS.format(**usual | figures))
    free_mb = (usual | figures)["free_mb"]
    monkeypatch.setattr(gate, "memory_available_mb", lambda: free_mb)
    if why is None:
        assert "ap50" in gate.try_out(face, FACE, release(VERSION))
        return
    with pytest.raises(UpdateError) as refused:
        gate.try_out(face, FACE, release(VERSION))
    assert refused.value.why == why


@pytest.fixture
def updated(tmp_path, monkeypatch, face) -> Path:
    """A box where `face` came over the air."""
    current = tmp_path / "state" / "models" / "current"
    current.mkdir(parents=True)
    (current / "face").symlink_to(face)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.delenv("MAHALLA_MODELS", raising=False)
    return current / "face"


def test_update_is_opened_before_the_installed_package(updated):
    assert find_package("face").directory == updated
    assert find_package("object").directory == FACE.parent / "object"
    assert open_model(find_package("face")).package.directory == updated


def test_update_whose_file_is_damaged_gives_way_to_the_installed(updated):
    os.truncate(read_card(updated).file, 1000)
    assert find_package("face").directory == FACE


def test_update_that_does_not_open_gives_way_to_the_installed(updated):
    package = find_package("face")
    os.truncate(package.file, 1000)  # after it was found
    assert open_model(package).package.directory == FACE


def test_package_that_is_no_update_and_does_not_open_is_an_error(face):
    package = read_card(face)
    os.truncate(package.file, 1000)
    with pytest.raises(ModelError, match="truncated or changed"):
        open_model(package)
