"""What both trainings share: arguments, the loop, and going on where a stop left them."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch
from ring import Batch, Fill, Ring, Spec

PEAK_RATE = 2e-3  # of learning


def arguments(what: str, *, steps: int, batch: int) -> argparse.ArgumentParser:
    """Of `train_WHAT.py`, with how long and in what batches it trains by default."""
    parser = argparse.ArgumentParser(
        description=f"Train the plate {what}.",
        epilog=f"python models/recipes/train_{what}.py --out /tmp/{what} --fonts /tmp/fonts",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--fonts", type=Path, help="folder of fetch_fonts.py; else strokes alone")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--bfloat16", action="store_true", help="faster where the CPU has it (avx512_bf16, amx)"
    )
    parser.add_argument("--seed", type=int, default=1)
    return parser


def train(
    args: argparse.Namespace,
    file: str,
    spec: Spec,
    fill: Fill,
    build: Callable[[], keras.Model],
    loss: Callable[[Any, Batch, np.random.Generator], torch.Tensor],
    report: Callable[[Any, Mapping[str, Any]], str],
    *,
    ring: tuple[int, float],
    unseen: int,
    tell: tuple[int, int],
) -> None:
    """AdamW from `args.out`/`file`, if it is there, to `args.steps` steps.

    `ring` is its size and how often a sample is used, `unseen` how many samples are kept for
    `report`; `tell` the steps between checkpoints, and between reports.
    """
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    keras.utils.set_random_seed(args.seed)  # torch and numpy too
    rng = np.random.default_rng(args.seed)
    samples = Ring(spec, ring[0], fill, 1, args.seed, uses=ring[1])
    unseen_from = fill(np.random.default_rng(10_000 + args.seed))
    kept = [unseen_from() for _ in range(unseen)]
    aside = {n: np.stack([np.asarray(one[n], spec[n][1]) for one in kept]) for n in spec}

    model = build()
    optimizer = torch.optim.AdamW(model.parameters(), PEAK_RATE, weight_decay=1e-3)
    step = load(args.out / file, model, optimizer)
    samples.wait(ring[0] // 5)
    began, first, running = time.monotonic(), step, math.nan
    while step < args.steps:
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * rate(step, args.steps)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bfloat16):
            value = loss(model, samples.batch(rng, args.batch), rng)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        now = float(value.detach())
        running = now if math.isnan(running) else running + 0.02 * (now - running)
        step += 1
        if step % tell[0] == 0 or step == args.steps:
            save(args.out / file, model, optimizer, step)
            pace = (step - first) * args.batch / (time.monotonic() - began)
            print(f"{step} loss {running:.3f} {pace:.0f}/s drawn {samples.made}", flush=True)
        if step % tell[1] == 0 or step == args.steps:
            print(report(model, aside), flush=True)
    samples.close()


def save(path: Path, model: keras.Model, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write weights, optimizer state and step whole or not at all."""
    state = {
        "step": step,
        "weights": {w.path: torch.as_tensor(keras.ops.convert_to_numpy(w)) for w in model.weights},
        "optimizer": optimizer.state_dict(),
    }
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def load(path: Path, model: keras.Model, optimizer: torch.optim.Optimizer) -> int:
    """Steps done so far; 0 where there is no checkpoint."""
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    set_weights(model, state["weights"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def set_weights(model: keras.Model, weights: dict[str, torch.Tensor]) -> None:
    """By name: the order of the layers is not the same for both ways round of the picture."""
    for weight in model.weights:
        weight.assign(weights[weight.path].numpy())


def rate(step: int, steps: int) -> float:
    """Part of the peak learning rate: 300 steps of warming up, then half a cosine down to 1%."""
    warm = min(1.0, (step + 1) / 300)
    return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps)))
