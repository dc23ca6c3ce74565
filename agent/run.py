"""`mahalla run`: the daemon that systemd starts."""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import ConfigError, StoreError, UpdateError

if TYPE_CHECKING:
    from agent.config.model import Config

WRONG_CONFIGURATION = 78
"""RestartPreventExitStatus of the unit: a typo is never a boot loop."""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `run` to the command line."""
    parser = commands.add_parser(
        "run",
        help="the daemon: cameras to events to brokers",
        description="Run the agent until SIGTERM (it drains and stops within 5 s). SIGHUP reads "
        "the configuration again; one that does not check is refused and the old one keeps "
        "running. State is kept in $STATE_DIRECTORY, else in a folder `state` beside the file.",
        epilog="example: mahalla run -c agent.yaml",
    )
    parser.add_argument(
        "-c",
        dest="config",
        metavar="agent.yaml",
        type=Path,
        default=Path("agent.yaml"),
        help="the configuration (default: agent.yaml here)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 after SIGTERM, 78 when the configuration is wrong."""
    from agent.allocator import be_frugal
    from agent.config.load import load
    from agent.config.problems import InvalidConfig

    be_frugal()
    _log_to_stderr()
    try:
        config = load(args.config)
    except ConfigError as error:
        problems = error.problems if isinstance(error, InvalidConfig) else (error,)
        for problem in problems:
            print(f"mahalla run: {problem}", file=sys.stderr)
        return WRONG_CONFIGURATION
    from agent.daemon import Daemon

    state = _state_folder(args.config)
    os.environ["STATE_DIRECTORY"] = str(state)  # models that came over the air lie in it
    with _alone(state):
        return Daemon(args.config, state).run(*_in_force(config, state))


def _in_force(config: Config, state: Path) -> tuple[Config, str]:
    """The configuration with the fragment that lies over it, and which one that is."""
    from agent.clock import boot_id
    from agent.ota.fragments import Fragments

    fragments, now_ms = Fragments(state), time.time_ns() // 1_000_000
    try:
        fragments.started(boot_id(), now_ms)
    except UpdateError as error:  # a full disk, say: no reason not to look
        logging.getLogger(__name__).warning("update: %s", error)
    return fragments.lay_over(config, now_ms)


def _log_to_stderr() -> None:
    """Levels as the journal reads them; the time too where no journal puts it on."""
    in_journal = "JOURNAL_STREAM" in os.environ
    form = "<%(journal)d>%(message)s" if in_journal else "%(asctime)s %(levelname)s %(message)s"
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(form))
    handler.addFilter(_journal_level)
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _journal_level(record: logging.LogRecord) -> bool:
    """Puts syslog's number for the level on the record (sd-daemon(3))."""
    levels = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
    record.journal = next((number for level, number in levels if record.levelno >= level), 7)
    return True


def _state_folder(config: Path) -> Path:
    named = os.environ.get("STATE_DIRECTORY")
    state = Path(named) if named else config.absolute().parent / "state"
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _no_state(state, error) from error
    return state


def _no_state(state: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{state}: cannot keep the state there: {error.strerror}; make it a folder that this "
        "user may write"
    )


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    """Two agents on one outbox would send everything twice."""
    try:
        lock = (state / "lock").open("w")
    except OSError as error:
        raise _no_state(state, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreError(f"{state}: another agent runs on this state; stop it first") from None
        yield
