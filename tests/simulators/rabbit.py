"""deploy/city on one machine: three nodes of Debian 13's RabbitMQ in a debootstrap root."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from brokers import accepts, free_port, wait_until
from mahalla import Mahalla

CITY = Path(__file__).parents[2] / "deploy" / "city"
_FILES = ("rabbitmq.conf", "advanced.config", "enabled_plugins")


class Node:
    """One node in namespaces of its own, so that killing it leaves nothing behind."""

    def __init__(self, root: Path, number: int, home: Path) -> None:
        self.name = f"rabbit{number}@localhost"
        self.home = home  # inside the root
        self.box_port, self.people_port, self.amqp_port, self.dist_port = (
            free_port() for _ in range(4)
        )
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def etc(self) -> Path:
        """Where its configuration is, seen from outside."""
        return self._root / self.home.relative_to("/")

    def configure(self, mahalla: Mahalla, nodes: list[Node]) -> None:
        self.etc.mkdir(parents=True)
        for file in _FILES:
            text = (CITY / file).read_text().replace("/etc/rabbitmq", str(self.home))
            for number, node in enumerate(nodes, 1):
                text = text.replace(f"rabbit@city{number}", node.name)
            text = text.replace("127.0.0.1:5672", f"127.0.0.1:{self.amqp_port}")
            text = text.replace("127.0.0.1:1883", f"127.0.0.1:{self.people_port}")
            text = text.replace("ssl.1 = 8883", f"ssl.1 = 127.0.0.1:{self.box_port}")
            (self.etc / file).write_text(text)
        for file in ("ca.pem", "broker.pem", "crl"):
            _copy(mahalla.out / "city" / file, self.etc / file)
        _copy(mahalla.folder / "keys" / "city.key", self.etc / "broker.key")

    def start(self, epmd_port: int) -> None:
        with (self.etc / "log").open("ab") as log:
            self._process = subprocess.Popen(
                enter(self._root, self._environment(epmd_port), "exec rabbitmq-server"),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def _environment(self, epmd_port: int) -> dict[str, str]:
        one_thread = "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"
        return {
            **client_environment(epmd_port),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "RABBITMQ_MNESIA_BASE": f"{self.home}/data",
            "RABBITMQ_LOG_BASE": f"{self.home}/logs",
            "RABBITMQ_CONFIG_FILE": f"{self.home}/rabbitmq",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{self.home}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{self.home}/enabled_plugins",
            "RABBITMQ_PID_FILE": f"{self.home}/pid",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} " + one_thread
            ),
        }

    def kill(self) -> None:
        """As a power cut: unshare takes everything inside with it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def pause(self, how: signal.Signals) -> None:
        """SIGSTOP or SIGCONT to everything inside: a machine that hangs."""
        assert self._process is not None
        for pid in _below(self._process.pid):
            os.kill(pid, how)

    @property
    def up(self) -> bool:
        return accepts(self.box_port) and accepts(self.people_port)


class Cluster:
    """Three nodes; a context."""

    def __init__(self, root: Path, mahalla: Mahalla) -> None:
        self._root = root
        self._epmd_port = free_port()
        self._place = Path("/var/lib/mahalla-city")
        shutil.rmtree(self._root / "var/lib/mahalla-city", ignore_errors=True)
        self.nodes = [Node(root, number, self._place / f"{number}") for number in (1, 2, 3)]
        self._mahalla = mahalla
        for node in self.nodes:
            node.configure(mahalla, self.nodes)
        cookie = self._root / "var/lib/mahalla-city/.erlang.cookie"
        cookie.write_text("mahalla-test")
        cookie.chmod(0o400)
        self._epmd: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Cluster:
        words = f"exec epmd -address 127.0.0.1 -port {self._epmd_port}"
        self._epmd = subprocess.Popen(
            enter(self._root, {}, words), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait_until(lambda: accepts(self._epmd_port), 60, "epmd is there")
            for node in self.nodes:
                node.start(self._epmd_port)
            self.wait_up(*self.nodes, timeout_s=420)  # a machine that does other things too
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait(10)

    def wait_up(self, *nodes: Node, timeout_s: float = 120) -> float:
        """Until they let people and boxes in; the seconds that it took."""
        began = time.monotonic()
        wait_until(lambda: all(node.up for node in nodes), timeout_s, "the nodes are up")
        return time.monotonic() - began

    def start(self, *nodes: Node) -> None:
        for node in nodes:
            node.start(self._epmd_port)

    def control(self, words: str, node: int = 0) -> str:
        """A shell line in the root that speaks to a node with `rabbitmqctl`."""
        environment = client_environment(self._epmd_port)
        environment["RABBITMQ_NODENAME"] = self.nodes[node].name
        done = subprocess.run(
            enter(self._root, environment, words), capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def apply(self) -> None:
        """deploy/city/apply.sh with what was built, on each node."""
        outside = self._root / self._place.relative_to("/")
        _copy(self._mahalla.out / "city", outside / "out")
        _copy(CITY / "apply.sh", outside / "apply.sh")
        apply = f"{self._place}/apply.sh {self._place}/out --etc"
        first, *others = self.nodes
        for node in others:
            self.control(f"{apply} {node.home} --list-only")
        self.control(f"{apply} {first.home}")

    def forget(self) -> None:
        """Remove what the nodes have written."""
        shutil.rmtree(self._root / "var/lib/mahalla-city", ignore_errors=True)


def client_environment(epmd_port: int) -> dict[str, str]:
    return {"HOME": "/var/lib/mahalla-city", "ERL_EPMD_PORT": str(epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1"}  # fmt: skip


def enter(root: Path, environment: dict[str, str], words: str) -> list[str]:
    """A command line that runs a shell line in the root, in namespaces that end with it."""
    path = "/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    setting = [f"{name}={value}" for name, value in environment.items()]
    shell = f"mount -t proc proc /proc || exit 1\n{words}"
    apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "chroot", str(root)]
    return [
        *apart,
        "/usr/bin/env",
        "-i",
        f"PATH={path}",
        "LANG=C.UTF-8",
        *setting,
        "sh",
        "-c",
        shell,
    ]


def _below(pid: int) -> list[int]:
    """Every process that descends from `pid`."""
    children = [
        int(child)
        for task in Path(f"/proc/{pid}/task").glob("*/children")
        for child in task.read_text().split()
    ]
    return children + [each for child in children for each in _below(child)]


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)
