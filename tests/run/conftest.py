"""Model packages of a test's own."""

import shutil
from pathlib import Path

import pytest

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture
def models(tmp_path) -> Path:
    """A copy of the model packages that may be spoilt."""
    copy = tmp_path / "models"
    shutil.copytree(MODELS, copy)
    return copy
