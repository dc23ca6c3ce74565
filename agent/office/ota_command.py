"""`mahalla ota`: models over the air, from the maintainer's keys to a box's slots."""

from __future__ import annotations

import argparse

from agent.office import fleet_verbs
from agent.ota import box_verbs, repository_verbs

_EXAMPLE = (
    "example: mahalla ota add repo models/face --ring canary=canaries.txt --ring rest=100% "
    "--agent 0.1 0.3 && mahalla ota publish repo --sign models.key --sign online.key"
)


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `ota` and its verbs to the command line."""
    parser = commands.add_parser(
        "ota",
        help="models over the air: signed repository, bundles, updates of a box",
        description="Keep a signed repository of models (The Update Framework) and bring a box up "
        "to it. deploy/KEYS.md walks through the key ceremony.",
        epilog=_EXAMPLE,
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    repository_verbs.register(verbs)
    fleet_verbs.register(verbs)
    box_verbs.register(verbs)
