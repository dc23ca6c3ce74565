"""The cards of the two models of plates: what a reader's says beyond other cards."""

from __future__ import annotations

import pytest
from plate_fakes import COUNTRIES, FINDER_CARD, READER_CARD, package

from agent.config.model import CameraConfig, InferConfig
from agent.errors import ModelError
from agent.infer.package import Calibration, models_dir, read_card
from agent.pipeline import Eyes


def test_card_of_a_reader_tells_how_far_to_believe_it():
    card = package(READER_CARD)
    assert card.calibration == Calibration(
        text_temperature=1.25, country_temperature=1.5, sure=0.97, min_width_px=55
    )
    assert card.labels == COUNTRIES


def test_card_of_other_models_needs_no_calibration():
    assert package(FINDER_CARD).calibration is None
    for name in ("face", "object"):
        assert read_card(models_dir() / name).calibration is None


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("text_temperature = 1.25", "text_temperature = 0", "calibration.text_temperature is 0"),
        ("text_temperature = 1.25", 'text_temperature = "hot"', "calibration.text_temperature"),
        ("text_temperature = 1.25", "text_temperature = inf", "calibration.text_temperature"),
        ("country_temperature = 1.5", "", "calibration.country_temperature is missing"),
        ("sure = 0.97", "sure = 1.0", "calibration.sure is 1.0"),
        ("min_width_px = 55", "min_width_px = 0", "calibration.min_width_px is 0"),
        ("min_width_px = 55", "min_width_px = 55.5", "calibration.min_width_px"),
    ],
)
def test_card_with_a_wrong_calibration_is_told_by_key(old, new, told):
    assert old in READER_CARD
    with pytest.raises(ModelError, match=told):
        package(READER_CARD.replace(old, new))


def test_plate_camera_without_the_models_is_refused_in_one_line(tmp_path, monkeypatch):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "model.toml").write_text(READER_CARD.replace("plate-text", "else"), "utf-8")
    monkeypatch.setenv("MAHALLA_MODELS", str(tmp_path))
    camera = CameraConfig(camera_id="gate", roles=("plate",), source="clip:x", rules={})
    with pytest.raises(ModelError) as refused:
        Eyes([camera], InferConfig())
    (line,) = str(refused.value).splitlines()
    assert "no model package for the task" in line
    assert "make setup" in line


def test_drawn_scene_with_the_role_plate_needs_no_models(tmp_path, monkeypatch):
    monkeypatch.setenv("MAHALLA_MODELS", str(tmp_path))
    camera = CameraConfig(camera_id="gate", roles=("plate",), source="synthetic:x", rules={})
    eyes = Eyes([camera], InferConfig())
    assert eyes.watch(camera) is None
    assert eyes.serve([camera])
