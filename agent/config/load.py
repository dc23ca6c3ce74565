"""`agent.yaml` -> `Config`, or every problem of it at once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from agent.config.document import SIZE_LIMIT_BYTES, compose
from agent.config.fragment import laid_over
from agent.config.login import credentials_folder
from agent.config.model import Config
from agent.config.place import Place, Reading
from agent.config.problems import InvalidConfig, Problem, Refusal
from agent.config.settings import CONFIG
from agent.errors import ConfigError

logger = logging.getLogger(__name__)


def load(path: Path, fragment: Path | None = None) -> Config:
    """The configuration in force; warnings are logged.

    Raises InvalidConfig with all problems, or ConfigError when a file cannot be read.
    """
    config, problems = check(path, fragment)
    if config is None:
        raise InvalidConfig(problems)
    for problem in problems:
        logger.warning("%s", problem.logged())
    return config


def check(path: Path, fragment: Path | None = None) -> tuple[Config | None, list[Problem]]:
    """The configuration, unless there are errors, and all problems in the order of the text.

    With a `fragment` as if it lay over the file. Raises ConfigError when a file cannot be read.
    """
    reading = Reading(
        file=str(path),
        folder=path.absolute().parent,
        credentials=credentials_folder(),
    )
    config = _read(_bytes(path), reading, fragment)
    problems = sorted(
        reading.problems,
        key=lambda problem: (problem.file != reading.file, problem.line, problem.column),
    )
    if config is None or reading.failures:
        return None, problems
    return replace(config, path=path.absolute()), problems


def place_of(path: Path, keys: Sequence[str]) -> tuple[int, int]:
    """Line and column, from 1, of the value under `keys` in a file that checks; 1, 1 if nowhere."""
    node = compose(_bytes(path), lambda line, column, refusal: None)
    for key in keys:
        inside = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for name, value in inside if name.value == key), None)
    return (node.start_mark.line + 1, node.start_mark.column + 1) if node else (1, 1)


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(SIZE_LIMIT_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None


def _read(raw: bytes, reading: Reading, fragment: Path | None) -> Config | None:
    root = compose(raw, reading.report, reading.file)
    if root is None:
        if not reading.failures:
            reading.report(1, 1, Refusal("the file is empty", "site, box, cameras and brokers"))
        return None
    place = Place(reading, root)
    if place.is_null:
        reading.report(1, 1, Refusal("the file is empty", "site, box, cameras and brokers"))
        return None
    if fragment is not None:
        _lay_over(place, fragment)
    return next(iter(place.attempt(CONFIG)), None)


def _lay_over(base: Place, fragment: Path) -> None:
    reading, file = base.reading, str(fragment)

    def report(line: int, column: int, refusal: Refusal) -> None:
        reading.report(line, column, refusal, file)

    root = compose(_bytes(fragment), report, file)
    if root is not None:
        laid_over(base, Place(reading, root))
