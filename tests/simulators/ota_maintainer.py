"""A maintainer with a real signed repository, and a box that updates from it."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
from securesystemslib.signer import CryptoSigner

from agent.ota.apply import Update, WhoIAm
from agent.ota.box_models import BoxModels
from agent.ota.client import Client
from agent.ota.fetching import Line, open_source
from agent.ota.release import Limits, Release, Ring
from agent.ota.repository import Keys, Repository

NOW = datetime(2026, 6, 1, tzinfo=timezone.utc)

CARD = """
task = "face"
title = "nothing"
file = "nothing.tflite"
sha256 = "{sha256}"
licence = "Apache-2.0"
decoder = "blazeface"
training = "none"
labels = ["face"]
threshold = 0.5
smallest_px = 16
outputs = [{{name = "a", shape = [1]}}]
kinds = {{face = "face"}}
input = {{width_px = 8, height_px = 8, range = [0, 1], lost_px = 6, sure_px = 24}}
source = {{version = "{version}"}}
golden = {{tolerance = 0.02}}
figures = {{}}
"""


class Maintainer:
    """Holds every key; publishes packages that nothing can run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.public, self.now = folder, folder / "repo" / "public", NOW
        make = CryptoSigner.generate_ed25519
        self.root = [make() for _ in range(3)]
        self.models, self.hotlists, self.online = make(), make(), make()
        self.config = make()
        self.at().create(self.keys(), self.root[:2])

    def keys(self) -> Keys:
        return Keys(
            root=[each.public_key for each in self.root],
            models=self.models.public_key,
            hotlists=self.hotlists.public_key,
            config=self.config.public_key,
            online=self.online.public_key,
        )

    def at(self) -> Repository:
        return Repository(self.folder / "repo", self.now)

    def package(self, version: str, content: bytes = b"") -> Path:
        folder = self.folder / version / "face"
        (folder / "golden").mkdir(parents=True, exist_ok=True)
        model = content or f"model {version} ".encode() * 500
        (folder / "nothing.tflite").write_bytes(model)
        sha256 = hashlib.sha256(model).hexdigest()
        (folder / "model.toml").write_text(CARD.format(sha256=sha256, version=version))
        np.savez(folder / "golden" / "one.npz", input=np.zeros(1))
        return folder

    def add(self, version: str, **rest) -> None:
        self.at().add(self.package(version), release(version, **rest))

    def publish(self, *signers: CryptoSigner) -> list[str]:
        return self.at().publish(signers or [self.models, self.online])

    def release(self, version: str, **rest) -> None:
        self.add(version, **rest)
        self.publish()

    def target(self, version: str) -> Path:
        (found,) = self.public.glob(f"targets/models/face/*.{version}.tar")
        return found


def release(version: str = "1", percent: int = 100, boxes=(), limits=None, **rest) -> Release:
    ring = Ring(name="all", percent=percent, boxes=tuple(boxes))
    given = {
        "model": "face",
        "version": version,
        "serial": 1,
        "agent_from": "0.1",
        "agent_below": "9",
        "rings": (ring,),
        "limits": Limits(**(limits or {})),
    }
    return Release(**(given | rest))


class Box:
    """A box with a gate that lets everything through, or what the test says."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.models, self.root, self.now = BoxModels(folder), root.read_bytes(), NOW
        self.tried: list[str] = []
        folder.mkdir()

    def gate(self, candidate: Path, present: Path | None, release: Release) -> str:
        self.tried.append(release.version)
        return "tried"

    def client(self, where: object, line: Line | None = None) -> Client:
        base, fetcher = open_source(str(where), line, self.models.ota / "parts")
        return Client(
            self.models.ota,
            root=self.root,
            base=base,
            fetcher=fetcher,
            now_s=self.now.timestamp(),
        )

    def apply(self, where: object, *, at_once: bool = True, **rest):
        """Without a trial, unless the test wants one."""
        me = WhoIAm(box="a/b", agent="0.1.0", **rest.pop("me", {}))
        line = rest.pop("line", None)
        with self.models.updating():
            rest = {"gate": self.gate, "at_once": at_once} | rest
            return Update(self.models, self.client(where, line), me, **rest).run()

    @property
    def active(self) -> str | None:
        """Version of the package behind `current`."""
        from agent.infer.package import load_package

        current = self.models.slots._folder / "current" / "face"
        return load_package(current).version if current.is_dir() else None


def days(number: float) -> timedelta:
    return timedelta(days=number)
