"""`mahalla run` as a child, with a notify socket that is read as systemd reads it."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import peek
from brokers import wait_until

MAHALLA = str(Path(sys.executable).with_name("mahalla"))
SITE, BOX = "alpomish", "north-gate"
ROOT = f"sm/1/{SITE}/{BOX}"

_numbers = iter(range(1_000_000))


def agent_yaml(cameras: Mapping[str, str], broker: str, more: str = "") -> str:
    """A configuration of these cameras (name to flow mapping) and one broker, `office`."""
    lines = "\n".join(f"  {name}: {text}" for name, text in cameras.items())
    return (
        f"site: {SITE}\nbox: {BOX}\ncameras:\n{lines}\n"
        f"brokers:\n  office: {{url: {broker}}}\n{more}"
    )


class Supervisor:
    """systemd's end of sd_notify(3): an abstract socket and what came through it, when."""

    def __init__(self) -> None:
        name = f"mahalla-test-{os.getpid()}-{next(_numbers)}"
        self.address = f"@{name}"
        self.heard: list[tuple[float, str]] = []
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._door.bind(f"\0{name}")
        self._door.settimeout(0.1)
        self._ended = False
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while not self._ended:
            try:
                text = self._door.recv(4096).decode()
            except TimeoutError:
                continue
            self.heard += [(time.monotonic(), line) for line in text.splitlines()]

    def times(self, line: str) -> list[float]:
        """When `line` was said."""
        return [at for at, said in list(self.heard) if said == line]

    def settle(self) -> None:
        """Returns once everything said before has been heard."""
        mark = f"X_MARK={next(_numbers)}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
            door.sendto(mark.encode(), f"\0{self.address[1:]}")
        wait_until(lambda: self.times(mark), 5, "the supervisor hears")

    def close(self) -> None:
        self._ended = True
        self._thread.join(5)
        self._door.close()


class Agent:
    """The running child over `folder/agent.yaml` and `folder/state`. A context."""

    def __init__(
        self, folder: Path, text: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.config = folder / "agent.yaml"
        self.config.write_text(text)
        self.state = folder / "state"
        self.systemd = Supervisor()
        self._log = folder / "agent.log"
        self._environment = {
            **os.environ,
            "NOTIFY_SOCKET": self.systemd.address,
            **(environment or {}),
        }
        self.largest_file_bytes = resource.RLIM_INFINITY  # for the next start
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, ready: bool = True) -> Agent:
        """Start the child; with `ready` wait until it says so."""
        before = len(self.systemd.times("READY=1"))
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [MAHALLA, "run", "-c", str(self.config)],
                env=self._environment,
                stdout=log,
                stderr=log,
                preexec_fn=self._limit,
            )
        if ready:
            self.wait_ready(before + 1)
        return self

    def _limit(self) -> None:
        limits = (self.largest_file_bytes, resource.RLIM_INFINITY)
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    def wait_ready(self, times: int) -> None:
        """Until READY=1 was said `times` times in all."""

        def said() -> bool:
            assert self.process is not None and self.process.poll() is None, self.log()
            return len(self.systemd.times("READY=1")) >= times

        wait_until(said, 20, "READY=1")

    def reload(self, text: str) -> None:
        """Put `text` in the place of the configuration and send SIGHUP; waits for the answer."""
        assert self.process is not None
        before = len(self.systemd.times("READY=1"))
        self.config.write_text(text)
        self.process.send_signal(signal.SIGHUP)
        self.wait_ready(before + 1)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Exit code and how long it took to come, after a signal."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(how)
        code = self.process.wait(20)
        return code, time.monotonic() - began

    def wait(self, timeout_s: float = 20) -> int:
        """The exit code of a child that ends by itself."""
        assert self.process is not None
        return self.process.wait(timeout_s)

    def log(self) -> str:
        return self._log.read_text()

    def stored(self, query: str) -> list[tuple[object, ...]]:
        """What the outbox answers to `query`, read beside the agent."""
        return peek.rows(self.state / "outbox.db", query)

    def change(self, *statements: str) -> None:
        """Alter the outbox of an agent that does not run."""
        with sqlite3.connect(self.state / "outbox.db") as db:
            for statement in statements:
                db.execute(statement)
        db.close()

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.systemd.close()
