"""A broker of our own on the loopback, for the demo and for trying things out."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from agent.errors import LinkError

_START_S = 10.0


class EmbeddedBroker:
    """Mosquitto where it is installed, else iotcore, plain MQTT on a free loopback port.

    A context: `url` and `name` hold inside it. Raises LinkError when there is neither.
    """

    def __init__(self) -> None:
        self.name = ""
        self.port = _free_port()
        self._running = ExitStack()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def __enter__(self) -> EmbeddedBroker:
        with self._running:
            program = find_mosquitto()
            if program is not None:
                self._start_mosquitto(program)
            else:
                self._start_iotcore()
            self._running = self._running.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running.close()

    def _folder(self) -> Path:
        return Path(self._running.enter_context(tempfile.TemporaryDirectory(prefix="mahalla-")))

    def _start_mosquitto(self, program: str) -> None:
        self.name = "mosquitto"
        config = self._folder() / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        process = subprocess.Popen(  # noqa: S603 - our own file, no shell
            [program, "-c", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us: the broker carries our last words first
        )
        self._running.callback(_end, process)
        _wait_for(self.port, process)

    def _start_iotcore(self) -> None:
        try:
            import iotcore
        except ImportError as error:
            raise LinkError(
                "no broker for the demo: install mosquitto, or the extra mahalla-agent[demo]"
            ) from error
        self.name = "iotcore"
        config = self._folder() / "iotcore.toml"
        config.write_text(_IOTCORE.format(port=self.port))
        broker = iotcore.Broker(config_path=str(config))
        broker.start()
        self._running.callback(broker.stop)


_IOTCORE = """
id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 10485760
max_segment_count = 10
[v5.1]
name = "v5"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 65536
max_inflight_count = 100
"""


def find_mosquitto() -> str | None:
    """The mosquitto program; Debian keeps it in a folder that is not on everybody's PATH."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def _free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise LinkError("mosquitto did not start; run it by hand to see why")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
