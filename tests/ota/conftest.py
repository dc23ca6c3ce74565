"""A real repository with real keys, and a real web server in front of it."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ota_maintainer import Box, Maintainer


@pytest.fixture
def maintainer(tmp_path) -> Maintainer:
    return Maintainer(tmp_path)


@pytest.fixture
def box(tmp_path, maintainer) -> Box:
    return Box(tmp_path / "box", maintainer.at().root_file)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_args) -> None:
        pass


@pytest.fixture
def serve():
    """Serves a folder, or with a handler of the test's own; its address."""
    servers = []

    def start(folder: Path, handler: type = _Quiet) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
