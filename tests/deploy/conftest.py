"""Puts tests/simulators within reach of these tests."""

import sys
from pathlib import Path

SIMULATORS = str(Path(__file__).parents[1] / "simulators")
if SIMULATORS not in sys.path:
    sys.path.insert(0, SIMULATORS)
