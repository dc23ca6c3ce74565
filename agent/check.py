"""`mahalla check`: every problem of a configuration, then its cameras and what is sent to whom."""

from __future__ import annotations

import argparse
import json
import os
import pwd
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeAlias

from agent.config.disclosure import Disclosure, disclose
from agent.config.load import check, place_of
from agent.config.model import BrokerConfig, CameraConfig, Config, HotlistConfig
from agent.config.problems import Problem
from agent.config.sending import STATE_CHANNELS
from agent.errors import ConfigError, HotlistError, ModelError

OK, PROBLEM_FOUND, WRONG_USAGE = 0, 1, 2

_Facts: TypeAlias = dict[str, Any]
_SERVICE_USER = "mahalla"
_STATE = "/var/lib/mahalla"  # of the service, where lists lie that came over the air
_LINE_KINDS = frozenset({"vehicle.line", "person.line"})


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `check` to the command line."""
    parser = commands.add_parser(
        "check",
        help="every problem of a configuration, and what is sent to whom",
        description="Print every problem of a configuration, one a line with its place; when there "
        "is no error, the cameras and the table of what the box sends to whom. Exit 1 on an "
        "error; a warning is none.",
        epilog="example: mahalla check agent.yaml",
    )
    parser.add_argument("config", metavar="agent.yaml", type=Path, help="the configuration")
    parser.add_argument(
        "--fragment",
        metavar="FILE",
        type=Path,
        help="as if this fragment of cameras' settings lay over it (mahalla ota config)",
    )
    parser.add_argument("--json", action="store_true", help="the same for a program")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the result; the exit code says whether the configuration can be run."""
    try:
        config, problems = check(args.config, args.fragment)
    except ConfigError as error:
        print(f"mahalla check: {error}", file=sys.stderr)
        return WRONG_USAGE
    hotlists = [_hotlist_facts(each) for each in config.hotlists.values()] if config else []
    if config is not None:
        problems = [*problems, *_in_practice(args.config, config, hotlists)]
    _tell_root()
    if args.json:
        print(_as_json(config, problems, hotlists))
    else:
        for line in _as_text(config, problems, hotlists):
            print(line)
    return PROBLEM_FOUND if config is None else OK


def _in_practice(path: Path, config: Config, hotlists: list[_Facts]) -> Iterator[Problem]:
    """What is right as it is written and would not work: lists and models that are not there."""
    from agent.infer.package import find_package
    from agent.infer.tasks import tasks_of

    for facts in hotlists:
        name = facts["hotlist"]
        if not facts["ok"] and config.hotlists[name].file.exists():  # else it is a problem already
            yield _warning(path, ("hotlists", name, "file"), facts["state"])
    if not config.hotlists and config.privacy.plates == "hits-only":
        for camera in config.cameras.values():
            if "plate" in camera.roles:
                what = "there are no hotlists to look plates up in: what it reads is told to nobody"
                yield _warning(path, ("cameras", camera.camera_id, "role"), what)
    needed_by: dict[str, str] = {}
    for camera in config.cameras.values():
        for task in sorted(tasks_of(camera)):
            needed_by.setdefault(task, camera.camera_id)
    for task, camera_id in needed_by.items():
        try:
            find_package(task)
        except ModelError as error:
            yield _warning(path, ("cameras", camera_id, "role"), str(error))


def _warning(path: Path, keys: tuple[str, ...], what: str) -> Problem:
    line, column = place_of(path, keys)
    return Problem(
        file=str(path),
        line=line,
        column=column,
        path=".".join(keys),
        what=what,
        severity="warning",
    )


def _tell_root() -> None:
    """Root can read every file; the user that the service runs as perhaps cannot."""
    if os.geteuid() == 0 and _exists(_SERVICE_USER):
        as_service = f"sudo -u {_SERVICE_USER} … check sees what it sees"
        print(
            f"mahalla check: you are root; the agent runs as user {_SERVICE_USER}: {as_service}",
            file=sys.stderr,
        )


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _as_json(config: Config | None, problems: list[Problem], hotlists: list[_Facts]) -> str:
    content = {
        "problems": [asdict(problem) for problem in problems],
        "cameras": [_camera_facts(camera) for camera in config.cameras.values()] if config else [],
        "hotlists": hotlists,
        "sends": [each.facts() for each in disclose(config)] if config else [],
    }
    return json.dumps(content, ensure_ascii=False, indent=2)


def _as_text(
    config: Config | None, problems: list[Problem], hotlists: list[_Facts]
) -> Iterator[str]:
    yield from map(str, problems)
    if config is None:
        return
    if problems:
        yield ""
    yield f"Cameras of {config.site}/{config.box}"
    yield ""
    width = max(map(len, config.cameras))
    for camera in config.cameras.values():
        yield f"  {camera.camera_id:<{width}}  {_camera_line(camera)}"
    if hotlists:
        yield ""
        yield f"Hotlists of {config.site}/{config.box}"
        yield ""
    for facts in hotlists:
        yield f"  {facts['hotlist']}  to {', '.join(facts['send'])}; {facts['state']}"
    yield ""
    yield f"What {config.site}/{config.box} sends"
    for each in disclose(config):
        yield ""
        yield from _table(each, config.brokers[each.broker])


def _camera_facts(camera: CameraConfig) -> dict[str, Any]:
    lines = {name: list(line.counts) for name, line in camera.lines.items()}
    return {
        "camera": camera.camera_id,
        "role": list(camera.roles),
        "preset": camera.preset,
        "lines": lines,
    }


def _hotlist_facts(hotlist: HotlistConfig) -> _Facts:
    """What would become of the file if the box looked at it now."""
    from agent.hotlist.opening import open_hotlist
    from agent.hotlist.shelf import ARRIVED, newest

    file = newest(hotlist, Path(os.environ.get("STATE_DIRECTORY", _STATE)) / ARRIVED)
    facts = {"hotlist": hotlist.name, "send": list(hotlist.send), "ok": False}
    try:
        opened = open_hotlist(file, name=hotlist.name, signers=hotlist.signers, keys=hotlist.keys)
    except HotlistError as error:
        return facts | {"state": f"not in force: {error}"}
    try:
        opened.check_time(time.time_ns() // 1_000_000, round(hotlist.max_age_s * 1000))
    except HotlistError as error:
        return facts | {"state": f"not in force: {file}: {error}"}
    until = datetime.fromtimestamp(opened.expires_ms / 1000, tz=timezone.utc)
    state = f"version {opened.label}, {opened.size} plates, until {until:%Y-%m-%d %H:%M} UTC"
    return facts | {"ok": True, "state": state}


def _camera_line(camera: CameraConfig) -> str:
    lines = [f"line {name} counts {', '.join(line.counts)}" for name, line in camera.lines.items()]
    if not lines and _LINE_KINDS & camera.rules.keys():
        lines = ["no lines"]
    return "; ".join([", ".join(camera.roles), f"preset {camera.preset}", *lines])


def _table(sent: Disclosure, broker: BrokerConfig) -> Iterator[str]:
    yield f"to {sent.broker}"
    yield from _row("address", *sent.addresses)
    yield from _row("encrypted", sent.encrypted)
    yield from _row("events", *_event_lines(sent))
    yield from _row("state of the box", _state(sent, broker))
    yield from _row("pictures", sent.pictures)
    yield from _row("faces", sent.faces)
    yield from _row("plates", sent.plates)
    yield from _row("kept", sent.retention)
    yield from _row("commands", sent.commands)


def _state(sent: Disclosure, broker: BrokerConfig) -> str:
    """Which state is sent, and why: on the default tree `send` has no say in it."""
    said = ", ".join(sent.state) or "nothing"
    if broker.topic is None:
        return f"{said} (whatever send lists: receivers need them)"
    if len(sent.state) == len(STATE_CHANNELS):
        return said
    return f"{said} (under a topic of its own: what send lists by name)"


def _event_lines(sent: Disclosure) -> list[str]:
    width = max((len(kind) for kind in sent.events), default=0)
    return [f"{kind:<{width}}  {text}" for kind, text in sent.events.items()] or ["nothing"]


def _row(name: str, *lines: str) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield f"  {name if number == 0 else '':<18}{line}"
