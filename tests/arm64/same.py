"""Compare two replays: the same events; confidence and box may differ in the last digits.

python tests/arm64/same.py HERE.jsonl THERE.jsonl
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROUNDED = ("q", "b")  # another processor adds in another order


def main(here: str, there: str) -> int:
    mine, theirs = _events(here), _events(there)
    if mine != theirs:
        print(f"the events differ:\n{here}: {mine}\n{there}: {theirs}", file=sys.stderr)
        return 1
    print(f"{len(mine)} events, the same here and there")
    return 0


def _events(path: str) -> list[dict[str, object]]:
    events = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return [{key: event[key] for key in event if key not in ROUNDED} for event in events]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
