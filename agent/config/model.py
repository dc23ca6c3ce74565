"""The configuration as the rest of the house sees it: frozen, complete, already checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

Point = tuple[float, float]


def _empty() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class LineConfig:
    start: Point
    end: Point
    counts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraConfig:
    camera_id: str
    roles: tuple[str, ...]  # face | traffic | plate
    source: str
    detect_source: str | None = None
    auth: Path | None = None
    preset: str = "street"
    name: Mapping[str, str] = field(default_factory=_empty)
    at: Point | None = None  # latitude, longitude
    zones: Mapping[str, tuple[Point, ...]] = field(default_factory=_empty)
    lines: Mapping[str, LineConfig] = field(default_factory=_empty)
    hours: Mapping[str, str] = field(default_factory=_empty)
    most_fps: float | None = None  # looks a second; None: as many as what moves there asks for
    rules: Mapping[str, Mapping[str, float]] = field(default_factory=_empty)
    """Rules in force, preset and overrides merged: kind -> parameter -> value (seconds, counts)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerConfig:
    broker_id: str
    urls: tuple[str, ...]
    protocol: str = "5"  # "5" | "3.1.1"
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    send: tuple[str, ...] = ("all",)  # "all", kinds, or kinds with a trailing ".*"
    topic: str | None = None  # template for events; None: the sm/1 tree
    encoding: str = "json"  # json | cbor
    receipt: str = "puback"  # puback | seen
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HotlistConfig:
    name: str
    file: Path
    signers: tuple[Path, ...]  # public keys; all of them have to have signed
    max_age_s: float
    send: tuple[str, ...]  # the brokers that hear of hits
    keys: tuple[Path, ...] = ()  # private keys of this box; the first that fits opens it


@dataclass(frozen=True, slots=True, kw_only=True)
class InferConfig:
    threads: int = 2
    delegate: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsConfig:
    channel: str = "stable"
    url: str | None = None
    ca: Path | None = None  # who vouches for the server; None: whom the system trusts


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxConfig:
    max_bytes: int = 500_000_000
    max_age_s: float = 30 * 86400.0
    keep_s: float = 72 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceConfig:
    kinds: tuple[str, ...] = ()
    keep_s: float = 72 * 3600.0
    max_bytes: int = 200_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyConfig:
    plates: str = "hits-only"  # hits-only | pseudonym
    basis: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkConfig:
    metered: bool = False
    budget_bytes_per_day: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    site: str
    box: str
    cameras: Mapping[str, CameraConfig]
    brokers: Mapping[str, BrokerConfig]
    hotlists: Mapping[str, HotlistConfig] = field(default_factory=_empty)
    infer: InferConfig = field(default_factory=InferConfig)
    models: ModelsConfig = field(default_factory=ModelsConfig)
    outbox: OutboxConfig = field(default_factory=OutboxConfig)
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    privacy: PrivacyConfig = field(default_factory=PrivacyConfig)
    retention_s: float = 30 * 86400.0
    link: LinkConfig = field(default_factory=LinkConfig)
    timezone: str = "Asia/Samarkand"
    path: Path | None = None
