"""Which interpreter is taken, and what of its chatter reaches the log."""

import os
import subprocess
import sys
import types

import pytest

from agent.errors import ModelError
from agent.infer.runtime import runtime, without_chatter

LITERT, TFLITE = "ai_edge_litert.interpreter", "tflite_runtime.interpreter"


@pytest.fixture
def installed(monkeypatch):
    """Makes the interpreters named the only ones there."""
    runtime.cache_clear()

    def only(*names):
        for name in (LITERT, TFLITE):
            package = name.partition(".")[0]
            # None in sys.modules makes an import fail as if nothing were installed.
            monkeypatch.setitem(sys.modules, package, None)
            monkeypatch.delitem(sys.modules, name, raising=False)
        for name in names:
            package = name.partition(".")[0]
            monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))

    yield only
    runtime.cache_clear()


def test_litert_is_taken_where_both_are_installed(installed):
    installed(LITERT, TFLITE)
    assert runtime().__name__ == LITERT


def test_tflite_runtime_is_taken_where_it_is_what_is_installed(installed):
    installed(TFLITE)
    assert runtime().__name__ == TFLITE


def test_no_interpreter_is_said_with_what_to_install(installed):
    installed()
    with pytest.raises(ModelError, match="pip install ai-edge-litert"):
        runtime()


def test_interpreter_that_is_broken_is_not_passed_over_in_silence(installed, tmp_path, monkeypatch):
    installed(TFLITE)
    broken = tmp_path / "ai_edge_litert"
    broken.mkdir()
    (broken / "__init__.py").touch()
    (broken / "interpreter.py").write_text("import a_library_that_is_missing\n")
    monkeypatch.delitem(sys.modules, "ai_edge_litert")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_library_that_is_missing"):
        runtime()


CHATTER = """
import os
from agent.infer.runtime import without_chatter
with without_chatter():
    os.write(2, b"INFO: Created a delegate\\nERROR: it matters\\n")
os.write(2, b"after\\n")
"""


def test_chatter_of_the_runtime_is_kept_off_stderr_and_nothing_else_is():
    done = subprocess.run(
        [sys.executable, "-c", CHATTER], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr.splitlines() == ["ERROR: it matters", "after"]


def test_stderr_is_itself_again_after_an_exception():
    before = os.fstat(2)
    with pytest.raises(KeyError), without_chatter():
        raise KeyError
    after = os.fstat(2)
    assert (before.st_dev, before.st_ino) == (after.st_dev, after.st_ino)
