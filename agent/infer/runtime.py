"""The interpreter that is installed, chosen once: LiteRT, else tflite-runtime."""

from __future__ import annotations

import ctypes
import importlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

from agent.errors import ModelError

_RUNTIMES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")
_STDERR = 2


@cache
def runtime() -> ModuleType:
    """The module with `Interpreter` and `load_delegate`; ModelError when none is installed."""
    for name in _RUNTIMES:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name not in (name, name.partition(".")[0]):
                raise
    raise ModelError("no interpreter is installed; run: pip install ai-edge-litert")


def load_delegate(library: str) -> Any:
    """The accelerator behind a shared library such as libedgetpu.so.1, or ModelError."""
    try:
        # First by hand: where the runtime's own loading fails it leaves a half-made object behind.
        ctypes.PyDLL(library).tflite_plugin_create_delegate  # noqa: B018 - is it one?
        return runtime().load_delegate(library)
    except (OSError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(
            f"delegate {library} cannot be loaded ({reason}); install its library, check that the "
            "accelerator is plugged in, or set infer: {delegate: null}"
        ) from error


@contextmanager
def without_chatter() -> Iterator[None]:
    """Keep the runtime's INFO lines off stderr; whatever else is written meanwhile comes after."""
    kept = os.dup(_STDERR)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
            written.seek(0)
            for line in written:
                if not line.startswith(b"INFO:"):
                    os.write(_STDERR, line)
