"""The locks: every requirement pinned by hash, no address, one pin for each box we support."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

try:
    import tomllib
except ImportError:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
LOCKS = ("run.lock", "dev.lock", "build.lock", "node.lock")
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
MACHINES = ("x86_64", "aarch64")
BOXES = [(python, machine) for python in PYTHONS for machine in MACHINES]


@dataclass(frozen=True)
class Pin:
    name: str
    version: str
    marker: Marker | None
    hashes: tuple[str, ...]

    def is_for(self, python: str, machine: str) -> bool:
        environment = {
            "python_version": python,
            "python_full_version": f"{python}.1",
            "platform_machine": machine,
            "sys_platform": "linux",
            "platform_system": "Linux",
            "os_name": "posix",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }
        return self.marker is None or self.marker.evaluate(environment)


def text(lock: str) -> str:
    return (ROOT / "deploy" / "locks" / lock).read_text("utf-8")


def pins(lock: str) -> list[Pin]:
    found = []
    for line in text(lock).replace("\\\n", " ").splitlines():
        requirement, *hashes = re.split(r"\s+--hash=", line.strip())
        if requirement.startswith("#") or not requirement:
            continue
        parsed = Requirement(requirement)
        (specifier,) = parsed.specifier
        assert specifier.operator == "==", line
        assert "*" not in specifier.version
        name = canonicalize_name(parsed.name)
        found.append(Pin(name, specifier.version, parsed.marker, tuple(hashes)))
    return found


def chosen(lock: str, python: str, machine: str) -> dict[str, str]:
    """What pip takes for such a box; one pin a name."""
    mine = [pin for pin in pins(lock) if pin.is_for(python, machine)]
    names = [pin.name for pin in mine]
    assert len(names) == len(set(names)), sorted(names)
    return {pin.name: pin.version for pin in mine}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_has_hashes_for_every_requirement(lock):
    for pin in pins(lock):
        assert pin.hashes, pin.name
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in pin.hashes), pin.name


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_address(lock):
    assert not re.search(r"://|--(extra-)?index|--find-links|@ ", text(lock))


@pytest.mark.parametrize(("python", "machine"), BOXES)
def test_lock_pins_what_the_project_asks_for(python, machine):
    asked = [Requirement(each) for each in project()["project"]["dependencies"]]
    mine = chosen("run.lock", python, machine)
    for requirement in asked:
        needed = Pin("", "", requirement.marker, ()).is_for(python, machine)
        name = canonicalize_name(requirement.name)
        assert not needed or mine[name] in requirement.specifier, (name, mine.get(name))


@pytest.mark.parametrize(("python", "machine"), BOXES)
def test_lock_of_the_box_is_what_the_tests_run_with(python, machine):
    tested = chosen("dev.lock", python, machine)
    for lock in ("run.lock", "build.lock"):
        assert chosen(lock, python, machine).items() <= tested.items()


def test_lock_of_the_box_has_no_tools_and_no_broker():
    names = {pin.name for pin in pins("run.lock")}
    assert not names & {"pytest", "ruff", "mypy", "hypothesis", "hatchling", "iotcore", "pip"}


def test_pins_that_differ_by_python_cover_each_python_once():
    split = {pin.name for pin in pins("run.lock") if pin.marker}
    for python, machine in BOXES:
        mine = chosen("run.lock", python, machine)
        for name in split - {"colorama", "tomli"}:  # Windows; Python 3.10 alone
            assert name in mine, (name, python, machine)
