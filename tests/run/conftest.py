"""Puts tests/simulators within reach of these tests."""

import shutil
import sys
from pathlib import Path

import pytest

SIMULATORS = str(Path(__file__).parents[1] / "simulators")
if SIMULATORS not in sys.path:
    sys.path.insert(0, SIMULATORS)

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture
def models(tmp_path) -> Path:
    """A copy of the model packages that may be spoilt."""
    copy = tmp_path / "models"
    shutil.copytree(MODELS, copy)
    return copy
