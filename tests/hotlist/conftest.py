"""An office with a box of its own."""

import pytest
from office import Office


@pytest.fixture
def office(tmp_path) -> Office:
    return Office(tmp_path)
