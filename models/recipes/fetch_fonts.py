"""Fetch the fonts of fonts.toml.

python3 models/recipes/fetch_fonts.py .cache/fonts
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import fetch  # noqa: E402

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for font in fetch._load(HERE / "fonts.toml")["font"]:
            fetch.fetch(font, folder / font["file"])
    except fetch.FetchError as error:
        sys.exit(f"fetch_fonts: {error}")
