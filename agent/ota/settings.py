"""What comes over the air for one box's configuration: a fragment, a renewed certificate.

One role signs both. Each is judged here, on the box, before anything of it is in force.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

from agent.config.model import Config
from agent.errors import UpdateError
from agent.ota import certificates, hold
from agent.ota.apply import Outcome
from agent.ota.client import Client
from agent.ota.fragments import MODEL, Fragments, version

LIMIT_BYTES = 128 * 1024

_BOX = re.compile(r"[a-z0-9-]{1,31}/[a-z0-9-]{1,31}")
_CHECK = (sys.executable, "-m", "agent.cli", "check", "--json")
_LONGEST_S = 120


def fragment_path(box: str) -> str:
    """Where the fragment of `site/box` lies among the targets; UpdateError where it is no box."""
    return f"config/{_checked(box)}.yaml"


def certificate_path(box: str) -> str:
    """Where the renewed certificate of `site/box` lies; UpdateError where it is no box."""
    return f"config/{_checked(box)}.pem"


def fetch_fragment(
    client: Client,
    file: Path,
    config: Config,
    fragments: Fragments,
    now_ms: int,
    *,
    again: bool = False,
) -> list[Outcome]:
    """Put the newest fragment for this box on trial, once `mahalla check` has nothing against it.

    `file` is the agent.yaml that it is laid over; `again` tries one that was refused once more.
    """
    target = client.target(fragment_path(f"{config.site}/{config.box}"))
    if target is None:
        return []
    sha256 = target.hashes["sha256"]
    state = fragments.state()
    if state.in_force == sha256:
        return []
    refused = state.refused.get(sha256)
    if refused and not again:
        return [_outcome(MODEL, sha256, "refused", f"refused before: {refused.text}")]
    if hold.load(fragments.folder.parent).holds(MODEL, now_ms):
        return [_outcome(MODEL, sha256, "waiting", "held")]
    fetched = client.download(target, LIMIT_BYTES)
    trouble = _trouble(file, fetched)
    if trouble:
        fragments.refuse(sha256, "check", trouble, now_ms)
        return [_outcome(MODEL, sha256, "refused", trouble)]
    fragments.begin(sha256, fetched.read_bytes(), now_ms)
    return [_outcome(MODEL, sha256, "trial", "checked; the agent takes it up")]


def fetch_certificate(
    client: Client,
    config: Config,
    state: Path,
    fragments: Fragments,
    now_ms: int,
    *,
    again: bool = False,
) -> list[Outcome]:
    """Keep the renewed certificate of this box where it is one; `again` as for a fragment."""
    target = client.target(certificate_path(f"{config.site}/{config.box}"))
    if target is None:
        return []
    sha256 = target.hashes["sha256"]
    refused = fragments.state().refused.get(sha256)
    if refused and not again:
        return [_outcome(certificates.MODEL, sha256, "refused", f"refused before: {refused.text}")]
    kept = certificates.place(state)
    content = client.download(target, certificates.LIMIT_BYTES).read_bytes()
    if kept.is_file() and kept.read_bytes() == content:
        return []
    try:
        certificates.accept(content, config, state)
    except UpdateError as error:
        if error.why == "old":  # the one that the box has was put there since
            return []
        if error.why == "none":  # nothing to judge it by, perhaps for now
            return [_outcome(certificates.MODEL, sha256, "waiting", str(error))]
        word = f"certificate-{error.why}"
        fragments.refuse(sha256, word, str(error), now_ms, model=certificates.MODEL)
        return [_outcome(certificates.MODEL, sha256, "refused", str(error))]
    fragments.forgive(sha256)
    return [_outcome(certificates.MODEL, sha256, "kept", "renewed; the agent shows it from now on")]


def label_of(content: bytes) -> str:
    """The version that boxes and `status` show of it."""
    return version(hashlib.sha256(content).hexdigest())


def _trouble(file: Path, fragment: Path) -> str:
    """The first thing that `mahalla check` has against it, in a process of its own.

    UpdateError where that gave no answer: the next look asks again.
    """
    try:
        done = subprocess.run(  # noqa: S603 - this very agent, fixed words
            [*_CHECK, str(file), "--fragment", str(fragment)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LONGEST_S,
        )
        problems = json.loads(done.stdout)["problems"]
        errors = [each for each in problems if each["severity"] == "error"]
    except subprocess.TimeoutExpired:
        raise UpdateError(f"its check was not done after {_LONGEST_S} s", why="busy") from None
    except (ValueError, TypeError, KeyError) as error:
        text = f"its check gave no answer (exit code {done.returncode})"
        raise UpdateError(text, why="busy") from error
    if errors:
        first = errors[0]
        return f"line {first['line']}: {first['path']}: {first['what']}; {first['allowed']}"
    return ""


def _checked(box: str) -> str:
    if not _BOX.fullmatch(box):
        raise UpdateError(f"{box}: is no box; write site/box")
    return box


def _outcome(what: str, sha256: str, state: str, why: str) -> Outcome:
    return Outcome(model=what, version=version(sha256), state=state, why=why)
