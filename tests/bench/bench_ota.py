"""What updates cost: from publish to active through the real gate and a running agent, the way
back, bytes, time and memory of a check, and what a fleet asks of one server.

    .venv/bin/python tests/bench/bench_ota.py

A web server on loopback, mosquitto, and `mahalla run` with one camera over a clip of faces. The
release is this project's own face model under another version, with a second in the shadow and
one live; as shipped those are an hour and a day, and a box looks once an hour. What a server can
do is asked of nginx, where it is installed.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime, timezone
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import urllib3

sys.path.insert(0, str(Path(__file__).parents[1] / "simulators"))

from brokers import Certificates, Mosquitto, free_port, wait_until
from daemon import BOX, MAHALLA, ROOT, SITE, Agent, agent_yaml
from listener import Listener
from ota_maintainer import Maintainer, release
from samples import face_camera

from agent.infer.package import read_card

FACE = Path(__file__).parents[2] / "models" / "face"
VERSION = "99.1"
BOXES = 18_824  # as many as cameras, each a box: the worst case
SECONDS = 3.0
WAIT_S = 300
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


class Counting(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # one packet an answer
    asked, sent = 0, 0

    def log_message(self, *_args: object) -> None:
        pass

    def send_header(self, keyword: str, value: str) -> None:
        if keyword == "Content-Length":
            type(self).asked += 1
            type(self).sent += int(value)
        super().send_header(keyword, value)


def serve(folder: Path) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Counting, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def package(folder: Path) -> Path:
    made = shutil.copytree(FACE, folder / "new" / "face")
    card = made / "model.toml"
    card.write_text(card.read_text().replace(f'"{read_card(FACE).version}"', f'"{VERSION}"'))
    return made


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        maintainer = Maintainer(folder)
        maintainer.now = datetime.now(timezone.utc)
        maintainer.publish()
        server = serve(maintainer.public)
        where = f"http://127.0.0.1:{server.server_port}"
        whole_way(folder, maintainer, where)
        check(folder, maintainer, where)
        fleet(folder, maintainer)
        server.shutdown()


SMALL = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6, file=sys.stderr)
"""
"""A parent that is smaller than what it measures: a child begins with its parent's peak."""


def apply(folder: Path, maintainer: Maintainer, where: str) -> tuple[float, float]:
    """`mahalla ota apply` as the timer starts it; seconds and the most memory it took (MB)."""
    began = time.perf_counter()
    words = ["ota", "apply", where, "--root", str(maintainer.at().root_file)]
    state = ["-c", str(folder / "agent.yaml"), "--state", str(folder / "state")]
    small = [sys.executable, "-S", "-c", SMALL, MAHALLA, *words, *state]
    done = subprocess.run(small, stderr=subprocess.PIPE, text=True, check=True)
    return time.perf_counter() - began, float(done.stderr.split()[-1])


def whole_way(folder: Path, maintainer: Maintainer, where: str) -> None:
    with Mosquitto(folder) as broker, Listener(broker.port, f"{ROOT}/#") as ear:
        text = agent_yaml({"gate": face_camera()}, broker.url)
        with Agent(folder, text) as agent:
            agent.start()
            ear.wait_for("/status", up=1)
            limits = {"shadow_s": 1, "live_s": 1, "slower_percent": 1000}
            each = release(VERSION, boxes=[f"{SITE}/{BOX}"], limits=limits)
            began = time.perf_counter()
            maintainer.at().add(package(folder), each)
            maintainer.publish()
            size_mb = maintainer.target(VERSION).stat().st_size / 1e6
            took_s, most_mb = apply(folder, maintainer, where)
            told(ear, "updated", "trial")
            live_s = time.perf_counter() - began
            told(ear, "updated", "confirmed")
            print(
                f"publish to active, {size_mb:.2f} MB         {time.perf_counter() - began:8.1f} s"
            )
            print(f"  of it fetched and tried out      {took_s:8.1f} s, {most_mb:.0f} MB")
            print(f"  live after                       {live_s:8.1f} s")
            began = time.perf_counter()
            subprocess.run(
                [MAHALLA, "ota", "rollback", "--state", str(folder / "state")], check=True
            )
            told(ear, "rolled-back", "by-hand")
            print(f"rollback to told by the agent      {time.perf_counter() - began:8.1f} s")
            agent.stop()


def told(ear: Listener, name: str, why: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        events = [each.json for each in ear.heard if each.topic.endswith(f"/model/{name}")]
        if any(each["why"] == why for each in events):
            return
        time.sleep(0.02)
    raise SystemExit(f"no model.{name} with why {why} in {WAIT_S} s")


def check(folder: Path, maintainer: Maintainer, where: str) -> None:
    Counting.sent, Counting.asked = 0, 0
    took_s, most_mb = apply(folder, maintainer, where)
    print(f"a check without news               {took_s:8.1f} s, {most_mb:.0f} MB")
    print(f"                                   {Counting.sent:8d} bytes in bodies")
    print(f"                                   {Counting.asked:8d} requests")


def fleet(folder: Path, maintainer: Maintainer) -> None:
    """Two requests a box and hour; over TLS a connection of its own each hour."""
    if NGINX is None:
        print("nginx is not installed: what a server can do is not measured")
        return
    authority = Certificates(folder / "authority")
    cert, key = authority.issue("localhost")
    plain, closed = free_port(), free_port()
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid; events {{}}"
        f" http {{ access_log off; root {maintainer.public}; server {{ listen 127.0.0.1:{plain};"
        f" listen 127.0.0.1:{closed} ssl; ssl_certificate {cert}; ssl_certificate_key {key}; }} }}"
    )
    words = [NGINX, "-c", str(config), "-e", str(folder / "nginx.log")]
    with subprocess.Popen(words) as nginx:
        wait_until(lambda: accepts(closed), what="nginx listens")
        need, pool = 2 * BOXES / 3600, urllib3.PoolManager()
        url = f"http://127.0.0.1:{plain}/metadata/timestamp.json"
        told_rate("nginx, requests", per_second(lambda: pool.request("GET", url)), need)

        def look() -> None:
            with urllib3.PoolManager(ca_certs=str(authority.ca)) as one:
                for name in ("9.root.json", "timestamp.json"):
                    one.request("GET", f"https://localhost:{closed}/metadata/{name}")

        told_rate("nginx, checks over TLS", per_second(look), need / 2)
        nginx.terminate()


def told_rate(what: str, rate: float, need: float) -> None:
    """One client asks, one after the other, so the server could do more."""
    print(f"{what:<34} {rate:8.0f} a second")
    print(f"{BOXES} boxes an hour need        {need:8.1f} a second, {rate / need:.0f} times")


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


def per_second(act: object) -> float:
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        act()
        count += 1
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
