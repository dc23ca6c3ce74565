"""A training run that a power cut or Ctrl-C stops goes on where it was."""

from __future__ import annotations

import math
from pathlib import Path

import keras
import torch


def save(path: Path, model: keras.Model, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write weights, optimizer state and step whole or not at all."""
    state = {
        "step": step,
        "weights": {w.path: torch.as_tensor(keras.ops.convert_to_numpy(w)) for w in model.weights},
        "optimizer": optimizer.state_dict(),
    }
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def load(path: Path, model: keras.Model, optimizer: torch.optim.Optimizer | None) -> int:
    """Steps done so far; 0 where there is no checkpoint."""
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    set_weights(model, state["weights"])
    if optimizer is not None:
        optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def set_weights(model: keras.Model, weights: dict[str, torch.Tensor]) -> None:
    """By name: the order of the layers is not the same for both ways round of the picture."""
    for weight in model.weights:
        weight.assign(weights[weight.path].numpy())


def rate(step: int, steps: int, peak: float) -> float:
    """Learning rate: 300 steps of warming up, then half a cosine down to 1% of the peak."""
    warm = min(1.0, (step + 1) / 300)
    return peak * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps)))
