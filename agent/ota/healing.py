"""Files of updates that heal themselves: nobody is at the box to remove what a worn card spoils."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from agent.durable import set_aside
from agent.errors import UpdateError

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


def read_or_set_aside(path: Path, parse: Callable[[bytes], _T]) -> _T | None:
    """What `parse` makes of a file; None where there is none, or it was damaged and is set aside.

    UpdateError (`disk`) where it cannot be read at all.
    """
    try:
        return parse(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UpdateError(f"{path}: {error.strerror}", why="disk") from error
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        _log.warning("update: %s is damaged and set aside: %s", path, error)
    try:
        set_aside(path)
    except OSError as error:
        raise UpdateError(f"{path}: is damaged: {error.strerror}", why="disk") from error
    return None
