"""`mahalla models`: what is here, is it whole, does it compute what it should, how good is it."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from samples import FACES, STREET, pictures

from agent.cli import main

MODELS = Path(__file__).parents[2] / "models"
PACKAGES = ["face", "object", "plate", "plate-text"]


@pytest.fixture
def models(tmp_path, monkeypatch) -> Path:
    """A copy of the packages that may be spoilt; the command looks there."""
    copy = tmp_path / "models"
    shutil.copytree(MODELS, copy)
    monkeypatch.setenv("MAHALLA_MODELS", str(copy))
    return copy


@pytest.fixture
def mahalla(capsys):
    """Runs `mahalla models …`; exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main(["models", *map(str, arguments)])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return run


def test_list_names_every_package_with_licence_and_source(mahalla):
    code, out, err = mahalla("list")
    assert (code, err) == (0, "")
    rows = out.splitlines()
    assert [row.split()[0] for row in rows] == PACKAGES
    assert all("Apache-2.0" in row and "NOT FETCHED" not in row for row in rows)
    rows = json.loads(mahalla("list", "--json")[1])
    assert [row["task"] for row in rows] == PACKAGES
    assert all(len(row["sha256"]) == 64 and row["fetched"] for row in rows)


def test_list_says_what_is_not_fetched(mahalla, models):
    next((models / "face").glob("*.tflite")).unlink()
    face, objects, *_ = mahalla("list")[1].splitlines()
    assert "NOT FETCHED" in face
    assert "NOT FETCHED" not in objects


def test_verify_and_selftest_pass_on_what_was_fetched(mahalla):
    for verb in ("verify", "selftest"):
        code, out, _ = mahalla(verb)
        assert code == 0
        assert [line.split()[:2] for line in out.splitlines()] == [[n, "ok"] for n in PACKAGES]
        rows = json.loads(mahalla(verb, "--json")[1])
        assert [row["ok"] for row in rows] == [True] * len(PACKAGES)
    assert all(row["samples"] >= 2 and row["deviation"] <= row["allowed"] for row in rows)


@pytest.mark.parametrize("harm", ["missing", "truncated", "altered", "empty"])
def test_verify_and_selftest_fail_on_a_spoilt_file_alone(mahalla, models, harm):
    file = next((models / "object").glob("*.tflite"))
    content = file.read_bytes()
    if harm == "missing":
        file.unlink()
    else:
        spoilt = {"truncated": content[:9999], "altered": b"x" + content[1:], "empty": b""}
        file.write_bytes(spoilt[harm])
    for verb in ("verify", "selftest"):
        code, out, _ = mahalla(verb)
        assert code == 1
        face, objects, *_ = out.splitlines()
        assert face.split()[:2] == ["face", "ok"]
        assert objects.split()[:2] == ["object", "FAIL"]
        assert file.name in objects
    for words in (("bench",), ("eval", "object", "x.jsonl")):
        code, out, err = mahalla(*words)
        assert (code, out) == (1, "")
        (line,) = err.splitlines()
        assert file.name in line


BROKEN_CARDS = {
    "no-toml": ("task =", "task", "not valid TOML"),
    "not-text": ("task =", "\udcff\udcfe task =", "not valid TOML"),
    "no-task": ('task = "face"', "", "task is missing"),
    "number-for-text": ('title = "BlazeFace full range, int8"', "title = 5", "title is 5"),
    "file-elsewhere": (
        'file = "face.tflite"',
        'file = "../object/object.tflite"',
        "a file name without a folder",
    ),
    "short-hash": ('sha256 = "95d4', 'sha256 = "95', "64 hexadecimal digits"),
    "no-hash": ('sha256 = "95d4', 'sha265 = "95d4', "sha256 is missing"),
    "labels-no-list": ('labels = ["face"]', 'labels = "face"', "labels"),
    "unknown-kind": ('face = "face"', 'face = "person who"', "kinds"),
    "unknown-label": ('face = "face"', 'nose = "face"', "kinds"),
    "threshold": ("threshold = 0.25", "threshold = 25", "between 0 and 1"),
    "no-input": ("[input]", "[inputs]", "input is missing"),
    "width": ("width_px = 192", "width_px = -192", "input.width_px"),
    "range": ("range = [-1.0, 1.0]", "range = [1.0]", "two rising numbers"),
    "range-words": ("range = [-1.0, 1.0]", 'range = ["a", "b"]', "two rising numbers"),
    "output-shape": ("shape = [1, 2304, 16]", "shape = 16", "outputs"),
    "no-source": ("[source]\nversion", "[sources]\nversion", "source.version is missing"),
    "no-tolerance": ("tolerance = 0.3", "", "golden.tolerance is missing"),
}


@pytest.mark.parametrize("harm", BROKEN_CARDS)
def test_card_that_is_broken_is_told_by_file_and_key(mahalla, models, harm):
    old, new, told = BROKEN_CARDS[harm]
    card = models / "face" / "model.toml"
    text = card.read_text("utf-8")
    assert old in text
    card.write_bytes(text.replace(old, new, 1).encode("utf-8", "surrogateescape"))
    code, out, err = mahalla("list")
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert str(card) in line
    assert told in line
    code, out, _ = mahalla("verify")
    assert code == 1
    face, objects, *_ = out.splitlines()
    assert "FAIL" in face
    assert told in face
    assert objects.split()[:2] == ["object", "ok"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("width_px = 192", "width_px = 256", "input is float32"),
        ("shape = [1, 2304, 16]", "shape = [1, 2304, 12]", "reshaped_regressor_face_4"),
        ('"reshaped_classifier_face_4"', '"no_such_output"', "no_such_output"),
    ],
)
def test_card_that_does_not_fit_its_model_fails_the_selftest(mahalla, models, old, new, told):
    card = models / "face" / "model.toml"
    card.write_text(card.read_text("utf-8").replace(old, new, 1), "utf-8")
    code, out, _ = mahalla("selftest")
    assert code == 1
    face, objects, *_ = out.splitlines()
    assert "FAIL" in face
    assert told in face
    assert objects.split()[:2] == ["object", "ok"]


def test_card_with_a_decoder_nobody_knows_is_one_line(mahalla, models, labels):
    card = models / "face" / "model.toml"
    card.write_text(card.read_text("utf-8").replace('decoder = "blazeface"', 'decoder = "blaze"'))
    code, out, err = mahalla("eval", "face", labels("face"))
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert "blaze" in line


def npz(**arrays: object) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def spoilt_samples(sample: Path) -> dict[str, bytes]:
    content = sample.read_bytes()
    middle = len(content) // 2
    with np.load(sample) as arrays:
        whole = dict(arrays)
    return {
        "empty": b"",
        "text": b"not a sample",
        "truncated": content[:middle],
        "altered": content[:middle] + bytes(64) + content[middle + 64 :],
        "other-input": npz(**(whole | {"input": np.zeros((8, 8, 3), np.uint8)})),
        "no-values": npz(input=whole["input"]),
        "pickle": npz(**(whole | {"at_0": np.array([{}], dtype=object)})),
        "places": npz(**(whole | {"at_0": whole["at_0"] + 10**6})),
        "no-arrays": zipped({"input.txt": b"x"}),
        "values": npz(**(whole | {"value_0": whole["value_0"] * 1.5})),
        "not-finite": npz(**(whole | {"value_1": whole["value_1"] * np.nan})),
    }


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


SPOILT = [
    "empty", "text", "truncated", "altered", "other-input", "no-values", "pickle", "places",
    "no-arrays", "values", "not-finite",
]  # fmt: skip


@pytest.mark.parametrize("harm", SPOILT)
def test_golden_sample_that_is_spoilt_fails_the_selftest(mahalla, models, harm):
    sample = models / "face" / "golden" / "1.npz"
    sample.write_bytes(spoilt_samples(sample)[harm])
    code, out, _ = mahalla("selftest")
    assert code == 1
    face, objects, *_ = out.splitlines()
    assert face.split()[:2] == ["face", "FAIL"]
    assert ("are off by" if harm in ("values", "not-finite") else "1.npz") in face
    assert objects.split()[:2] == ["object", "ok"]


def test_golden_samples_that_are_missing_fail_the_selftest(mahalla, models):
    shutil.rmtree(models / "object" / "golden")
    code, out, _ = mahalla("selftest")
    assert code == 1
    assert "no golden samples" in out.splitlines()[1]


def test_folder_without_packages_says_how_to_get_them(mahalla, tmp_path, monkeypatch):
    monkeypatch.setenv("MAHALLA_MODELS", str(tmp_path))
    for verb in ("list", "verify", "selftest", "bench"):
        code, out, err = mahalla(verb)
        assert (code, out) == (1, "")
        (line,) = err.splitlines()
        assert "no model packages" in line
        assert "make setup" in line


def test_bench_gives_milliseconds_and_memory(mahalla):
    code, out, _ = mahalla("bench", "--json")
    assert code == 0
    for row in json.loads(out):
        assert set(row) == {"name", "threads", "ms", "ms_p95", "rss_mb"}
        assert 0 < row["ms"] <= row["ms_p95"] < 2000


@pytest.fixture
def labels(tmp_path):
    """Writes pictures cut from the clips with what a person sees in them."""

    def write(task: str) -> Path:
        if task == "face":
            shots = pictures(FACES, at_s=0.8, count=3)
            objects = [{"cls": "face", "box": [60, 32, 110, 103]}]
        else:
            shots = pictures(STREET, at_s=5.0, count=2)
            objects = [
                {"cls": "person", "box": [350, 3, 485, 272], "note": "other keys are ignored"},
                {"cls": "bicycle", "box": [380, 172, 515, 272]},
                {"cls": "car", "box": [0, 22, 300, 272]},
                {"cls": "plate", "box": [1, 1, 20, 9], "text": None},
            ]
        lines = []
        for number, shot in enumerate(shots):
            name = f"{task}-{number}.png"
            cv2.imwrite(str(tmp_path / name), shot[:, :, ::-1])
            height, width = shot.shape[:2]
            lines.append({"file": name, "w": width, "h": height, "objects": objects})
        path = tmp_path / f"{task}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    return write


FIGURES = {"objects", "ap50", "recall@0.1fp", "recall"}


def test_eval_of_faces_finds_them_and_writes_what_it_saw(mahalla, labels, tmp_path):
    out_file = tmp_path / "seen.jsonl"
    code, out, err = mahalla("eval", "face", labels("face"), "--json", "--predictions", out_file)
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert (result["task"], result["images"], result["objects"]) == ("face", 3, 3)
    assert set(result["classes"]) == {"face"}
    assert set(result["classes"]["face"]) == FIGURES
    assert set(result["sizes"]) >= {"medium"}
    assert result["sizes"]["medium"]["objects"] == 3
    assert result["ap50"] == 1
    assert result["recall@0.1fp"] == 1
    assert result["ms_per_image"] > 0
    seen = [json.loads(line) for line in out_file.read_text().splitlines()]
    assert [line["file"] for line in seen] == [f"face-{number}.png" for number in range(3)]
    for line in seen:
        assert (line["w"], line["h"]) == (176, 144)
        best = max(line["objects"], key=lambda each: each["score"])
        assert best["cls"] == "face"
        assert 0.5 < best["score"] <= 1
        x1, y1, x2, y2 = best["box"]
        assert 0 <= x1 < x2 <= 176
        assert 0 <= y1 < y2 <= 144


def test_eval_of_objects_merges_vehicles_and_says_so(mahalla, labels):
    path = labels("object")
    code, out, _ = mahalla("eval", "object", path, "--json")
    assert code == 0
    result = json.loads(out)
    assert result["objects"] == 6  # the plate is not asked for
    assert set(result["classes"]) == {"person", "bicycle", "vehicle"}
    assert result["merged"] == {"vehicle": ["car", "bus", "truck", "motorcycle"]}
    assert result["classes"]["person"]["recall"] == 1
    assert result["classes"]["vehicle"]["recall"] == 1
    code, text, _ = mahalla("eval", "object", path)
    assert code == 0
    assert "merged as vehicle" in text
    assert len({len(line) for line in text.splitlines()[2:]}) == 1  # a table, all rows as wide


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "x.jsonl:1: not a label"),
        ("[]", "x.jsonl:1: not a label"),
        ('{"file": "a.png"}', "x.jsonl:1: not a label"),
        ('{"file": "a.png", "w": 0, "h": 5, "objects": []}', "x.jsonl:1: not a label"),
        (
            '{"file": "a.png", "w": 5, "h": 5, "objects": [{"cls": "face", "box": [3, 0, 1, 2]}]}',
            "x.jsonl:1: not a label",
        ),
        ('{"file": "a.png", "w": 5, "h": 5, "objects": []}', "no labels of face in it"),
        (
            '{"file": "a.png", "w": 5, "h": 5, "objects": [{"cls": "face", "box": [0, 0, 1, 2]}]}',
            "a.png: cannot be read: No such file or directory",
        ),
        ("", "no labels"),
    ],
)
def test_eval_of_labels_that_are_none_is_one_line(mahalla, tmp_path, line, told):
    path = tmp_path / "x.jsonl"
    path.write_text(line + "\n")
    code, out, err = mahalla("eval", "face", path)
    assert (code, out) == (1, "")
    (said,) = err.splitlines()
    assert told in said


def test_eval_that_cannot_write_predictions_is_one_line(mahalla, labels, tmp_path):
    gone = tmp_path / "no" / "seen.jsonl"
    code, out, err = mahalla("eval", "face", labels("face"), "--predictions", gone)
    assert (code, out) == (1, "")
    (said,) = err.splitlines()
    assert str(gone) in said


def test_package_without_its_card_is_missed(mahalla, models):
    (models / "face" / "model.toml").unlink()
    for verb in ("verify", "selftest"):
        code, out, _ = mahalla(verb)
        assert code == 1
        (told,) = [line for line in out.splitlines() if line.startswith("face")]
        assert "FAIL" in told and "model.toml: No such file" in told
