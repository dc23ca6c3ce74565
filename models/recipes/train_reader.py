"""Train the plate reader on drawn plates alone.

    python models/recipes/train_reader.py --out /tmp/reader

About an hour on two cores. Run again with the same --out to go on after a stop. The last lines
give exact readings of drawn plates it has not seen, by width.
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
from degrade import found_corners, shoot, straightened
from plates import COUNTRIES, SLOTS, Fonts, any_plate
from reader_net import HEIGHT, WIDTH, build
from training import arguments, train

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BLANK = 36
MARGIN = 0.06
SHOTS = 3  # of one drawn plate
SPEC = {
    "image": ((HEIGHT, WIDTH, 3), "u1"),
    "text": ((SLOTS,), "u1"),
    "known": ((), "u1"),
    "country": ((), "u1"),
    "width": ((), "f4"),
    "lines": ((), "u1"),
}


def renderer(
    fonts: Path | None,
) -> Callable[[np.random.Generator], Callable[[], Mapping[str, Any]]]:
    """What a renderer process does."""

    def start(rng: np.random.Generator) -> Callable[[], Mapping[str, Any]]:
        drawers = Fonts(fonts)
        plate, left = any_plate(rng, drawers), SHOTS

        def sample() -> Mapping[str, Any]:
            nonlocal plate, left
            if left == 0:
                plate, left = any_plate(rng, drawers), SHOTS
            left -= 1
            shot = shoot(rng, plate)
            text = np.full(SLOTS, BLANK, np.uint8)
            for slot, letter in enumerate(plate.text or ""):
                text[slot] = ALPHABET.index(letter)
            corners = found_corners(rng, shot.corners)
            return {
                "image": straightened(shot.image, corners, (WIDTH, HEIGHT), MARGIN),
                "text": text,
                "known": plate.text is not None,
                "country": COUNTRIES.index(plate.country),
                "width": shot.width_px,
                "lines": plate.lines,
            }

        return sample

    return start


def tensors(batch: Mapping[str, Any], rng: np.random.Generator | None) -> tuple[torch.Tensor, ...]:
    """Picture in -1..1, channels first; with `rng`, brightness and contrast altered a little."""
    image = torch.from_numpy(batch["image"]).permute(0, 3, 1, 2).float() / 127.5 - 1
    if rng is not None:
        count = len(image)
        gain = torch.from_numpy(rng.uniform(0.8, 1.2, (count, 1, 1, 1)).astype(np.float32))
        lift = torch.from_numpy(rng.uniform(-0.15, 0.15, (count, 1, 1, 1)).astype(np.float32))
        image = (image * gain + lift).clamp(-1, 1)
    return (
        image,
        torch.from_numpy(batch["text"].astype(np.int64)),
        torch.from_numpy(batch["known"].astype(np.float32)),
        torch.from_numpy(batch["country"].astype(np.int64)),
    )


def loss(
    model: Any, image: torch.Tensor, text: torch.Tensor, known: torch.Tensor, country: torch.Tensor
) -> torch.Tensor:
    """Cross entropy of the characters and of the country.

    Where there is no Latin text every character is as good as any other: the reader must not
    be sure of one.
    """
    said, where = model(image, training=True)
    logp = nn.log_softmax(said, dim=2)
    right = -logp.gather(2, text[..., None])[..., 0].mean(1)
    even = -logp.mean(2).mean(1)
    chars = (known * right + (1 - known) * even).mean()
    return chars + 0.2 * nn.cross_entropy(where, country)


def report(model: Any, batch: Mapping[str, Any]) -> str:
    """Exact readings of drawn plates by width, two-line plates, country."""
    image, text, known, country = tensors(batch, None)
    right, land = [], []
    with torch.no_grad():
        for part in range(0, len(image), 250):
            said, where = model(image[part : part + 250], training=False)
            right.append((said.argmax(2) == text[part : part + 250]).all(1))
            land.append(where.argmax(1) == country[part : part + 250])
    exact, land_ok = torch.cat(right).numpy(), torch.cat(land).numpy()
    readable = known.numpy() > 0
    width, lines = batch["width"], batch["lines"]
    parts = []
    for low, high in ((26, 40), (40, 55), (55, 70), (70, 100), (100, 300)):
        chosen = readable & (width >= low) & (width < high) & (lines == 1)
        parts.append(f"{low}+: {exact[chosen].mean():.3f}")
    two = readable & (lines == 2) & (width >= 40)
    return f"exact {' '.join(parts)} two-line {exact[two].mean():.3f} country {land_ok.mean():.3f}"


def main() -> None:
    args = arguments("reader", steps=18000, batch=80).parse_args()
    train(
        args,
        "reader.pt",
        SPEC,
        renderer(args.fonts),
        lambda: build(channels_first=True),
        lambda model, batch, rng: loss(model, *tensors(batch, rng)),
        report,
        ring=(24_000, 2.5),
        unseen=2500,
        tell=(250, 1000),
    )


if __name__ == "__main__":
    main()
