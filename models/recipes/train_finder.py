"""Train the plate finder on drawn plates in real and drawn scenes.

    python models/recipes/train_finder.py --out /tmp/finder --data DIR

DIR holds the sets that scenes.py names. About an hour on two cores; run again with the same --out
to go on after a stop. The last line says what it finds of drawn plates it has not seen.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import torch
import torch.nn.functional as nn
from finder_net import HEIGHT, STRIDE, UNIT_PX, WIDTH, build
from plates import Fonts
from scenes import Backgrounds, Scene, scene
from training import arguments, train

ROWS, COLS = HEIGHT // STRIDE, WIDTH // STRIDE
SPEC = {
    "image": ((HEIGHT, WIDTH, 3), "u1"),
    "heat": ((ROWS, COLS), "f4"),  # 1 at a centre, falling off around it
    "care": ((ROWS, COLS), "u1"),  # 0 where a plate may be that nobody labelled
    "near": ((ROWS, COLS), "f4"),  # weight of the cell for size
    "exact": ((ROWS, COLS), "f4"),  # the same for shape: 0 where corners are not known
    "size": ((ROWS, COLS, 4), "f4"),
    "shape": ((ROWS, COLS, 8), "f4"),
}


def targets(made: Scene) -> Mapping[str, Any]:
    """What the network should say of a scene."""
    out = {name: np.zeros(shape, dtype) for name, (shape, dtype) in SPEC.items()}
    out["image"] = made.image
    out["care"][:] = 1
    y, x = np.mgrid[0:ROWS, 0:COLS]
    for quad in made.unsure:
        low, top = quad.min(axis=0) / STRIDE, quad.max(axis=0) / STRIDE
        out["care"][(x >= low[0] - 1) & (x <= top[0]) & (y >= low[1] - 1) & (y <= top[1])] = 0
    for seen in made.plates:
        low, top = seen.corners.min(axis=0), seen.corners.max(axis=0)
        middle, wide = (low + top) / 2, np.maximum(top - low, 1.0)
        if not (0 < middle[0] < WIDTH and 0 < middle[1] < HEIGHT):
            continue
        dx, dy = middle[0] / STRIDE - 0.5 - x, middle[1] / STRIDE - 0.5 - y
        spread = np.maximum(0.45, wide / STRIDE * 0.13)
        bell = np.exp(-0.5 * ((dx / spread[0]) ** 2 + (dy / spread[1]) ** 2))
        peak = (np.abs(dx) <= 0.5) & (np.abs(dy) <= 0.5)
        bell = np.where(peak, 1.0, np.minimum(bell, 0.95))
        mine = (bell > np.maximum(out["heat"], 0.25)) & (np.abs(dx) < 2) & (np.abs(dy) < 1.6)
        out["heat"] = np.maximum(out["heat"], bell).astype(np.float32)
        out["care"][mine] = 1
        out["near"][mine] = bell[mine]
        out["exact"][mine] = bell[mine] if seen.exact else 0
        logs = np.log(wide / UNIT_PX)
        for k, value in enumerate((dx, dy, logs[0], logs[1])):
            out["size"][..., k][mine] = np.broadcast_to(value, x.shape)[mine]
        box = np.array([low, [top[0], low[1]], top, [low[0], top[1]]])
        out["shape"][mine] = ((seen.corners - box) / wide).reshape(8)
    return out


def renderer(
    fonts: Path | None, data: Path | None
) -> Callable[[np.random.Generator], Callable[[], Mapping[str, Any]]]:
    """What a renderer process does."""

    def start(rng: np.random.Generator) -> Callable[[], Mapping[str, Any]]:
        drawers, grounds = Fonts(fonts), Backgrounds(data)
        return lambda: targets(scene(rng, drawers, grounds))

    return start


def loss(model: Any, batch: Mapping[str, Any], gain: torch.Tensor | None) -> torch.Tensor:
    """Focal loss of the heat (CenterNet's, alpha 2, beta 4), L1 of size and shape."""
    image = torch.from_numpy(batch["image"]).permute(0, 3, 1, 2).float() / 127.5 - 1
    if gain is not None:
        image = (image * gain).clamp(-1, 1)
    said = [part.permute(0, 2, 3, 1) for part in model(image, training=gain is not None)]
    wanted = {name: torch.from_numpy(batch[name]) for name in SPEC if name != "image"}
    logit, bell = said[0][..., 0], wanted["heat"]
    p = torch.sigmoid(logit)
    centre = (bell >= 1).float()
    hit = -centre * (1 - p) ** 2 * nn.logsigmoid(logit)
    miss = -(1 - centre) * (1 - bell) ** 4 * p**2 * nn.logsigmoid(-logit) * wanted["care"].float()
    count = centre.sum().clamp(min=1)
    heat = (hit + miss).sum() / count
    near, exact = wanted["near"][..., None], wanted["exact"][..., None]
    size = (near * (said[1] - wanted["size"]).abs()).sum() / near.sum().clamp(min=1) / 4
    shape = (exact * (said[2] - wanted["shape"]).abs()).sum() / exact.sum().clamp(min=1) / 8
    return heat + 2.0 * size + 4.0 * shape


def report(model: Any, unseen: Mapping[str, Any]) -> str:
    """Share of the unseen scenes' plates with a peak in their cell, and false peaks a scene."""
    found = total = false = 0
    wide_error = []
    for part in range(0, len(unseen["image"]), 50):
        image = torch.from_numpy(unseen["image"][part : part + 50]).permute(0, 3, 1, 2)
        with torch.no_grad():
            heat, size, _ = model(image.float() / 127.5 - 1, training=False)
        peak = (nn.max_pool2d(heat, 3, 1, 1) == heat) & (heat > 0)
        bell = torch.from_numpy(unseen["heat"][part : part + 50])
        care = torch.from_numpy(unseen["care"][part : part + 50]) > 0
        near = nn.max_pool2d(peak.float(), 3, 1, 1)[:, 0] > 0
        found += int((near & (bell >= 1)).sum())
        total += int((bell >= 1).sum())
        false += int((peak[:, 0] & (bell < 0.2) & care).sum())
        at = bell >= 1
        truth = torch.from_numpy(unseen["size"][part : part + 50])[..., 2]
        wide_error.append((size[:, 2] - truth)[at].abs())
    error = torch.cat(wide_error).median()
    scenes = len(unseen["image"])
    return (
        f"found {found / total:.3f} of {total}, false a scene {false / scenes:.3f}, "
        f"width off by {float(error):.3f}"
    )


def main() -> None:
    parser = arguments("finder", steps=18_000, batch=16)
    parser.add_argument("--data", type=Path, help="folder of the background sets; else drawn alone")
    args = parser.parse_args()

    def altered(model: Any, batch: Mapping[str, Any], rng: np.random.Generator) -> torch.Tensor:
        gain = rng.uniform(0.75, 1.25, (args.batch, 1, 1, 1)).astype(np.float32)
        return loss(model, batch, torch.from_numpy(gain))

    train(
        args,
        "finder.pt",
        SPEC,
        renderer(args.fonts, args.data),
        lambda: build(channels_first=True),
        altered,
        report,
        ring=(3_000, 4.0),
        unseen=300,
        tell=(100, 500),
    )


if __name__ == "__main__":
    main()
