"""Model packages: a folder with `model.toml`, the model file and golden samples."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from agent.errors import ModelError
from agent.records import KINDS

_log = logging.getLogger(__name__)
_toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

CARD = "model.toml"
INSTALLED = Path(sys.prefix) / "share" / "mahalla" / "models"
_PIECE_BYTES = 65536
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """One output tensor, in the order in which `Model.run` answers."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How far a reader's outputs are to be believed; measured on pictures it was not trained on."""

    text_temperature: float  # logits are divided by it
    country_temperature: float
    sure: float  # a text this probable counts as read
    min_width_px: int  # of a plate, in the full picture: narrower ones are not read reliably


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPackage:
    """Everything a `model.toml` says; the file beside it has the sha256 that it names."""

    name: str
    directory: Path
    task: str  # face | object | plate | plate-text
    title: str
    version: str
    file: Path
    sha256: str
    licence: str
    decoder: str
    width_px: int
    height_px: int
    value_range: tuple[float, float]
    outputs: tuple[OutputSpec, ...]
    labels: tuple[str, ...]
    kinds: Mapping[str, str]  # label -> kind in the house; labels that are not used are absent
    threshold: float
    smallest_px: int
    lost_px: int  # a side in the input: smaller things are not found at all
    sure_px: int  # larger ones are found; what lies between is worth a second, larger look
    source: Mapping[str, Any]
    training: str
    figures: Mapping[str, Any]
    golden: tuple[Path, ...]
    golden_tolerance: float
    calibration: Calibration | None = None  # of a reader

    @property
    def levels(self) -> NDArray[np.float32]:
        """(256,) what each value of an 8-bit sample is in the model's input."""
        return np.linspace(*self.value_range, 256, dtype=np.float32)


def models_dir() -> Path:
    """Where the packages are: $MAHALLA_MODELS, else the checkout's, else the installed ones."""
    named = os.environ.get("MAHALLA_MODELS")
    if named:
        return Path(named)
    checkout = Path(__file__).resolve().parents[2] / "models"
    if any(checkout.glob(f"*/{CARD}")):
        return checkout
    return INSTALLED


def updated_dir() -> Path | None:
    """What came over the air and is active on this box (`mahalla ota apply`), if anything is."""
    state = os.environ.get("STATE_DIRECTORY")
    if not state or os.environ.get("MAHALLA_MODELS"):
        return None
    current = Path(state) / "models" / "current"
    return current if current.is_dir() else None


def _how_to_get(root: Path) -> str:
    if root.is_relative_to(INSTALLED):
        return "install the agent again: sudo deploy/install.sh"
    return "run: make setup (or python3 models/fetch.py), which mends it or says how"


def package_dirs(root: Path) -> list[Path]:
    """The folders under `root` that are packages, without their card too; ModelError if none."""
    signs = (CARD, "golden", "*.tflite")
    found = sorted({part.parent for sign in signs for part in root.glob(f"*/{sign}")})
    if not found:
        raise ModelError(
            f"{root}: no model packages here; {_how_to_get(root)}, or set MAHALLA_MODELS"
        )
    return found


def find_package(task: str, root: Path | None = None) -> ModelPackage:
    """The package whose task is `task`, checked; ModelError when none is.

    Without `root` an update that is active comes first, and when it is damaged the installed one.
    """
    updated = None if root else updated_dir()
    for directory in sorted(updated.glob("*/")) if updated else ():
        try:
            if read_card(directory).task == task:
                return load_package(directory)
        except ModelError as error:
            _log.warning("update: %s; the installed model is used", error)
    return _find_package(task, root or models_dir())


def installed_instead(package: ModelPackage) -> ModelPackage | None:
    """The installed package that an update lies over; None when `package` is no update."""
    updated = updated_dir()
    if updated is None or package.directory.parent != updated:
        return None
    return _find_package(package.task, models_dir())


def _find_package(task: str, where: Path) -> ModelPackage:
    for directory in package_dirs(where):
        if (directory / CARD).is_file() and read_card(directory).task == task:
            return load_package(directory)
    raise ModelError(f"{where}: no model package for the task {task}; {_how_to_get(where)}")


def load_package(directory: Path) -> ModelPackage:
    """Read and check one package; ModelError says in one line what is missing or wrong."""
    package = read_card(directory)
    check_file(package)
    return package


def check_file(package: ModelPackage) -> None:
    """Compare the model file with its sha256 before anything maps it; ModelError if it differs."""
    try:
        with package.file.open("rb") as file:
            size, found = _digest(file)
    except OSError as error:
        what_to_do = _how_to_get(package.directory)
        raise ModelError(f"{package.file}: {error.strerror}; {what_to_do}") from error
    if found != package.sha256:
        raise ModelError(
            f"{package.file}: {size} bytes, not the file whose sha256 {CARD} names "
            f"({package.sha256[:12]}…): truncated or changed; {_how_to_get(package.directory)}"
        )


def _digest(file: BinaryIO) -> tuple[int, str]:
    """Length and sha256, read piece by piece: a whole model in memory is never given back."""
    size, digest = 0, hashlib.sha256()
    while piece := file.read(_PIECE_BYTES):
        size += len(piece)
        digest.update(piece)
    return size, digest.hexdigest()


def read_card(directory: Path) -> ModelPackage:
    """Read `model.toml` alone, without the model file; ModelError names the key that is wrong."""
    path = directory / CARD
    try:
        card = _toml.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"{path}: not valid TOML: {error}") from error
    return _package(directory, _Card(path, card))


class _Card:
    """A table of model.toml that is read key by key, each with its type checked."""

    def __init__(self, path: Path, table: Mapping[str, Any], prefix: str = "") -> None:
        self._path = path
        self._table = table
        self._prefix = prefix

    def __contains__(self, key: str) -> bool:
        return key in self._table

    def get(self, key: str, check: Callable[[Any], _Made], expected: str) -> _Made:
        if key not in self._table:
            raise ModelError(f"{self._path}: {self._prefix}{key} is missing; it is {expected}")
        try:
            return check(self._table[key])
        except (TypeError, ValueError, KeyError) as error:
            raise ModelError(
                f"{self._path}: {self._prefix}{key} is {self._table[key]!r}; it must be {expected}"
            ) from error

    def text(self, key: str) -> str:
        return self.get(key, _text, "a text")

    def pixels(self, key: str) -> int:
        return self.get(key, _pixels, "a whole number of pixels above 0")

    def table(self, key: str) -> _Card:
        inner = self.get(key, _mapping, "a table")
        return _Card(self._path, inner, f"{self._prefix}{key}.")


def _package(directory: Path, card: _Card) -> ModelPackage:
    image = card.table("input")
    golden = card.table("golden")
    labels = card.get("labels", _texts, "a list of texts")
    return ModelPackage(
        name=directory.resolve().name,
        directory=directory,
        task=card.text("task"),
        title=card.text("title"),
        version=card.table("source").text("version"),
        file=directory / card.get("file", _file_name, "a file name without a folder"),
        sha256=card.get("sha256", _sha256, "64 hexadecimal digits"),
        licence=card.text("licence"),
        decoder=card.text("decoder"),
        width_px=image.pixels("width_px"),
        height_px=image.pixels("height_px"),
        value_range=image.get("range", _value_range, "two rising numbers"),
        outputs=card.get("outputs", _outputs, "a list of tables with name and shape"),
        labels=labels,
        kinds=card.get(
            "kinds", lambda raw: _kinds(raw, labels), f"labels = one of {sorted(KINDS)}"
        ),
        threshold=card.get("threshold", _share, "a number between 0 and 1"),
        smallest_px=card.pixels("smallest_px"),
        lost_px=image.pixels("lost_px"),
        sure_px=image.pixels("sure_px"),
        source=card.get("source", _mapping, "a table"),
        training=card.text("training"),
        figures=card.get("figures", _mapping, "a table"),
        golden=tuple(sorted((directory / "golden").glob("*.npz"))),
        golden_tolerance=golden.get("tolerance", _share, "a number between 0 and 1"),
        calibration=_calibration(card.table("calibration")) if "calibration" in card else None,
    )


def _calibration(card: _Card) -> Calibration:
    return Calibration(
        text_temperature=card.get("text_temperature", _above_zero, "a number above 0"),
        country_temperature=card.get("country_temperature", _above_zero, "a number above 0"),
        sure=card.get("sure", _share, "a number between 0 and 1"),
        min_width_px=card.pixels("min_width_px"),
    )


def _text(raw: Any) -> str:
    if not isinstance(raw, str) or not raw:
        raise ValueError
    return raw


def _texts(raw: Any) -> tuple[str, ...]:
    if not isinstance(raw, list) or not raw:
        raise ValueError
    return tuple(_text(item) for item in raw)


def _file_name(raw: Any) -> str:
    if Path(_text(raw)).name != raw:
        raise ValueError
    return _text(raw)


def _sha256(raw: Any) -> str:
    if len(_text(raw)) != 64 or int(raw, 16) < 0 or raw != raw.lower():
        raise ValueError
    return _text(raw)


def _pixels(raw: Any) -> int:
    if type(raw) is not int or raw < 1:
        raise ValueError
    return raw


def _share(raw: Any) -> float:
    if isinstance(raw, bool) or not 0 < raw < 1:
        raise ValueError
    return float(raw)


def _above_zero(raw: Any) -> float:
    if isinstance(raw, bool) or not 0 < raw < inf:
        raise ValueError
    return float(raw)


def _value_range(raw: Any) -> tuple[float, float]:
    low, high = raw
    if not float(low) < float(high):
        raise ValueError
    return float(low), float(high)


def _mapping(raw: Any) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise TypeError
    return MappingProxyType(raw)


def _outputs(raw: Any) -> tuple[OutputSpec, ...]:
    if not isinstance(raw, list) or not raw:
        raise ValueError
    return tuple(
        OutputSpec(name=_text(item["name"]), shape=tuple(map(_pixels, item["shape"])))
        for item in raw
    )


def _kinds(raw: Any, labels: tuple[str, ...]) -> Mapping[str, str]:
    for label, kind in _mapping(raw).items():
        if label not in labels or kind not in KINDS:
            raise ValueError
    return _mapping(raw)
