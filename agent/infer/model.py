"""A model that is ready to run, shared by all cameras."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.errors import ModelError
from agent.infer.fair_lock import FairLock
from agent.infer.package import CARD, ModelPackage, check_file, installed_instead
from agent.infer.runtime import load_delegate, runtime, without_chatter

_log = logging.getLogger(__name__)

Tensor = NDArray[np.float32]


class Model:
    """One interpreter; `run` may be called from any thread and serves in order of arrival."""

    def __init__(self, package: ModelPackage, interpreter: Any) -> None:
        self.package = package
        self._interpreter = interpreter
        self._turn = FairLock()
        self._input, self._outputs = _checked_tensors(package, interpreter)

    def run(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Outputs in the card's order for one input, 1 x height x width x 3 in the card's range.

        The input is copied before the call returns and the outputs belong to the caller.
        """
        with self._turn:
            self._interpreter.set_tensor(self._input, tensor)
            self._interpreter.invoke()
            return tuple(self._interpreter.get_tensor(index) for index in self._outputs)


def open_model(package: ModelPackage, *, threads: int = 1, delegate: str | None = None) -> Model:
    """Load the package's file into an interpreter; ModelError when it or the delegate is no good.

    `delegate` is the name of a shared library, for instance libedgetpu.so.1. Where an update does
    not open, the installed package of its task does instead.
    """
    try:
        return _open(package, threads, delegate)
    except ModelError as error:
        installed = installed_instead(package)
        if installed is None:
            raise
        _log.warning("update: %s; the installed model is used", error)
        return _open(installed, threads, delegate)


def _open(package: ModelPackage, threads: int, delegate: str | None) -> Model:
    check_file(package)
    delegates = [load_delegate(delegate)] if delegate else None
    try:
        with without_chatter():
            interpreter = runtime().Interpreter(
                model_path=str(package.file), num_threads=threads, experimental_delegates=delegates
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{package.file}: the interpreter refuses it: {reason}") from error
    model = Model(package, interpreter)
    where = delegate or f"{threads} threads"
    _log.info("model %s %s on %s", package.name, package.version, where)
    return model


def _checked_tensors(package: ModelPackage, interpreter: Any) -> tuple[int, list[int]]:
    """Tensor numbers of the input and the outputs, after comparing them with the card."""
    image = interpreter.get_input_details()[0]
    expected = (1, package.height_px, package.width_px, 3)
    if tuple(image["shape"]) != expected or image["dtype"] is not np.float32:
        raise ModelError(
            f"{package.file}: input is {image['dtype'].__name__} {image['shape'].tolist()}, "
            f"{CARD} says float32 {list(expected)}"
        )
    found = {detail["name"]: detail for detail in interpreter.get_output_details()}
    for output in package.outputs:
        shape = tuple(map(int, found[output.name]["shape"])) if output.name in found else None
        if shape != output.shape:
            raise ModelError(
                f"{package.file}: {CARD} says output {output.name} {output.shape}, "
                f"the model has {shape or sorted(found)}"
            )
    return image["index"], [found[output.name]["index"] for output in package.outputs]
