"""Training samples in shared memory: renderers keep replacing them, the trainer draws at random.

Rendering is slower than a small network learns. A sample is therefore drawn a few times before
it is replaced, each time a little altered by the trainer.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import time
from collections.abc import Callable, Mapping
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Spec = Mapping[str, tuple[tuple[int, ...], str]]  # name -> shape of one sample, dtype
Batch = dict[str, NDArray[Any]]
Fill = Callable[[np.random.Generator], Callable[[], Mapping[str, Any]]]
"""Made in the renderer from its generator; each call gives one sample."""


class Ring:
    """`size` samples that `workers` processes renew once each was drawn `uses` times."""

    def __init__(
        self, spec: Spec, size: int, fill: Fill, workers: int, seed: int, uses: float = 2.5
    ) -> None:
        self._spec, self._size = spec, size
        self._memory = {
            name: SharedMemory(create=True, size=size * _bytes(shape, dtype))
            for name, (shape, dtype) in spec.items()
        }
        self._made, self._wanted = mp.Value("q", 0), mp.Value("q", size)
        self._uses, self._drawn = uses, 0
        names = {name: memory.name for name, memory in self._memory.items()}
        self._processes = [
            mp.Process(
                target=_render,
                args=(
                    spec,
                    size,
                    names,
                    fill,
                    (seed, index),
                    (index, workers),
                    self._made,
                    self._wanted,
                ),
                daemon=True,
            )
            for index in range(workers)
        ]
        for process in self._processes:
            process.start()

    @property
    def made(self) -> int:
        """Samples rendered so far."""
        return int(self._made.value)

    def wait(self, count: int) -> None:
        """Until that many samples are there; a renderer that died ends the run."""
        while self.made < min(count, self._size):
            if not all(process.is_alive() for process in self._processes):
                raise RuntimeError("a renderer died")
            time.sleep(0.2)

    def batch(self, rng: np.random.Generator, count: int) -> Batch:
        """`count` samples drawn at random from those that are there."""
        self._drawn += count
        self._wanted.value = self._size + int(self._drawn / self._uses)
        if not all(process.is_alive() for process in self._processes):
            raise RuntimeError("a renderer died")
        index = rng.integers(min(self.made, self._size), size=count)
        return {
            name: _view(self._memory[name], self._size, shape, dtype)[index]
            for name, (shape, dtype) in self._spec.items()
        }

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
            process.join()
        for memory in self._memory.values():
            memory.close()
            memory.unlink()


def _bytes(shape: tuple[int, ...], dtype: str) -> int:
    return int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize


def _view(memory: SharedMemory, size: int, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    return np.ndarray((size, *shape), dtype, memory.buf)


def _render(
    spec: Spec,
    size: int,
    names: Mapping[str, str],
    fill: Fill,
    seed: tuple[int, int],
    part: tuple[int, int],
    made: Any,
    wanted: Any,
) -> None:
    cv2.setNumThreads(1)
    os.nice(5)
    memory = {name: SharedMemory(name=names[name]) for name in spec}
    views = {n: _view(memory[n], size, shape, dtype) for n, (shape, dtype) in spec.items()}
    sample = fill(np.random.default_rng(seed))
    at = part[0]
    while True:
        if made.value >= wanted.value:  # each sample is to be drawn `uses` times
            time.sleep(0.02)
            continue
        for name, value in sample().items():
            views[name][at % size] = value
        at += part[1]
        with made.get_lock():
            made.value += 1
