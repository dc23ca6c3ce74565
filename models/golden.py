"""Record the golden samples of a model package: what its file gives on x86-64 with LiteRT.

Run it once, when a package gets another model file, and look at the difference before it is kept.

    .venv/bin/python models/golden.py face
"""

from __future__ import annotations

import sys
from pathlib import Path

from agent.evaluate.golden import pattern, write_sample
from agent.infer.model import open_model
from agent.infer.package import load_package

SEEDS = (1, 2)


def main(names: list[str]) -> None:
    for name in names:
        package = load_package(Path(__file__).parent / name)
        model = open_model(package)
        for seed in SEEDS:
            sample = package.directory / "golden" / f"{seed}.npz"
            write_sample(model, pattern(package, seed), sample)


if __name__ == "__main__":
    main(sys.argv[1:])
