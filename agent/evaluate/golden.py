"""Golden samples: inputs with the outputs that a model must give, wherever it runs.

`golden/NAME.npz` holds `input` (height x width x 3, uint8) and, for each output of the card in
its order, `at_0`, `at_1`... (places in the flattened output) and `value_0`, `value_1`... there.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from agent.errors import ModelError
from agent.infer.model import Model, Tensor
from agent.infer.package import ModelPackage

_VALUES = 1024  # kept of each output: enough that no broken layer slips through

_UNREADABLE = (OSError, EOFError, BadZipFile, zlib.error, ValueError, KeyError, IndexError)


def worst_deviation(model: Model, sample: Path) -> float:
    """How far the outputs are from what `sample` says: of the worst output the root mean square.

    It is a share of that output's spread (standard deviation). Single values mean little: int8
    kernels of another processor round otherwise, and a few values then lie far off.
    Raises ModelError when the sample cannot be read or is none of this model's.
    """
    try:
        with np.load(sample, allow_pickle=False) as golden:
            outputs = model.run(as_tensor(golden["input"], model.package))
            return max(
                _deviation(output, golden[f"at_{k}"], golden[f"value_{k}"])
                for k, output in enumerate(outputs)
            )
    except _UNREADABLE as error:
        raise ModelError(f"{sample}: not a golden sample of this model: {error}") from error


def write_sample(model: Model, pixels: NDArray[np.uint8], sample: Path) -> None:
    """Record what the model gives for `pixels` now, as the truth from now on."""
    kept: dict[str, Any] = {"input": pixels}
    for k, output in enumerate(model.run(as_tensor(pixels, model.package))):
        at = np.linspace(0, output.size - 1, min(_VALUES, output.size)).astype(np.int32)
        kept[f"at_{k}"], kept[f"value_{k}"] = at, output.reshape(-1)[at]
    sample.parent.mkdir(exist_ok=True)
    np.savez_compressed(sample, **kept)


def pattern(package: ModelPackage, seed: int) -> NDArray[np.uint8]:
    """A picture of coloured blocks, the same for the same seed: nobody's face, nobody's rights."""
    blocks = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    rows = np.arange(package.height_px) * 12 // package.height_px
    columns = np.arange(package.width_px) * 12 // package.width_px
    pixels: NDArray[np.uint8] = blocks[np.ix_(rows, columns)]
    return pixels


def as_tensor(pixels: NDArray[np.uint8], package: ModelPackage) -> Tensor:
    """uint8 pixels in the card's range, with the batch axis in front."""
    expected = (package.height_px, package.width_px, 3)
    if pixels.shape != expected or pixels.dtype != np.uint8:
        raise ValueError(f"input is {pixels.dtype} {pixels.shape}, not uint8 {expected}")
    return package.levels[pixels[None]]


def _deviation(output: Tensor, at: NDArray[np.int32], value: Tensor) -> float:
    off = output.reshape(-1)[at].astype(np.float64) - value
    spread = float(np.std(value)) or max(float(np.abs(value).max()), 1e-6)
    deviation = float(np.sqrt(np.mean(off * off))) / spread
    return deviation if np.isfinite(deviation) else float("inf")
