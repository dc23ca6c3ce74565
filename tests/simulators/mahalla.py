"""A mahalla with its authority, and its office's broker as deploy/office has it: in one folder."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
from pathlib import Path

import pytest
from brokers import MOSQUITTO, Mosquitto, accepts, free_port, wait_until

from agent.cli import main

INSTALL = Path(__file__).parents[2] / "deploy" / "office" / "install.sh"

_SITE = """\
site: alpomish
authority: authority
office: {hosts: [localhost, 127.0.0.1]}
city: {topic: "safecity/{site}/{box}/{camera}/{kind}", hosts: localhost}
boxes: {north-gate: , bazaar: }
people:
  rec: {may: [seen, resend]}
  inspector-1: {may: [evidence, snapshot]}
  auditor:
"""


class Mahalla:
    """Boxes north-gate and bazaar, brokers office and city; the keys of all lie under `keys`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.requests = folder / "stick"
        self.plan = folder / "site.yaml"
        (folder / "secret").write_text("a long passphrase\n")
        started = folder / "alpomish"
        assert self.site("new", started, "--authority", folder / "authority", "--host", "localhost",
                         "--box", "north-gate", *self._secret) == 0  # fmt: skip
        self.plan.write_text(_SITE)

    @property
    def _secret(self) -> tuple[str, str]:
        return ("--passphrase", str(self.folder / "secret"))

    def site(self, *words: object) -> int:
        """`mahalla site …`; the exit code."""
        return main(["site", *map(str, words)])

    def request(self, name: str, key: str = "") -> Path:
        """A key and a request of this box or broker; answers the key."""
        file = self.folder / "keys" / f"{key or name}.key"
        what = "--broker" if name in ("office", "city") else "--box"
        words = ("--site", "alpomish", what, name, "--key", file, "--out", self.requests)
        assert self.site("request", *words, "--user", "root") == 0
        return file

    def do(self, verb: str, *words: object) -> int:
        """A verb that signs and lays out."""
        return self.site(verb, self.plan, *words, "--out", self.out, *self._secret)

    def build(self, *names: str) -> None:
        """Requests of all of them, signed."""
        for name in names or ("north-gate", "bazaar", "office"):
            self.request(name)
        assert self.do("build", "--requests", self.requests) == 0

    def cert(self, box: str) -> Path:
        return self.out / "boxes" / box / "box.pem"

    @property
    def ca(self) -> Path:
        return self.out / "office" / "ca.pem"

    def context(self, box: str = "", *, key: str = "", cert: Path | None = None) -> ssl.SSLContext:
        """TLS that believes the authority and shows a box; nobody without a name."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if box:
            key_file = self.folder / "keys" / f"{key or box}.key"
            context.load_cert_chain(cert or self.cert(box), key_file)
        return context

    def login(self, person: str) -> tuple[str, str]:
        user, _, password = self.login_file(person).read_text().strip().partition(":")
        return user, password

    def login_file(self, person: str) -> Path:
        return self.folder / "logins" / f"{person}.login"

    def entry(self, port: int) -> str:
        """A broker of north-gate's agent.yaml."""
        key = self.folder / "keys" / "north-gate.key"
        where = f"url: mqtts://localhost:{port}, ca: {self.ca}"
        return f"{{{where}, cert: {self.cert('north-gate')}, key: {key}, commands: [resend]}}"


class Office(Mosquitto):
    """deploy/office in its own folder; `port` is the door of boxes, `people_port` the other."""

    def __init__(self, mahalla: Mahalla) -> None:
        if MOSQUITTO is None or not shutil.which("openssl"):
            pytest.skip("mosquitto or openssl is not installed (apt install mosquitto openssl)")
        self._folder = mahalla.folder / "office"
        self._process = None
        self._mahalla = mahalla
        self._etc = self._folder / "etc" / "mahalla-office"
        self._store = self._folder / "store"
        self._store.mkdir(parents=True)
        self._etc.mkdir(parents=True)
        (self._etc / "broker.key").write_bytes((mahalla.folder / "keys/office.key").read_bytes())
        self.port, self.people_port = free_port(), free_port()
        self.install()

    def install(self) -> str:
        """What the installer says that the broker needs: nothing, reload or restart."""
        words = ["bash", str(INSTALL), str(self._mahalla.out / "office"), "--into", self._folder]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        text = (self._etc / "mosquitto.conf").read_text()
        text = text.replace("/etc/mahalla-office", str(self._etc))
        text = text.replace("/var/lib/mahalla-office", str(self._store))
        text = text.replace("listener 8883", f"listener {self.port} 127.0.0.1")
        text = text.replace("listener 8884", f"listener {self.people_port} 127.0.0.1")
        if os.geteuid() == 0:
            text += "user root\n"
        (self._folder / "mosquitto.conf").write_text(text)
        return done.stdout.split()[-1]

    def apply(self) -> str:
        """Install what was built, and do what the unit would."""
        needed = self.install()
        if needed == "restart":
            self.stop()
            self.start()
        elif needed == "reload":
            self._process.send_signal(signal.SIGHUP)
        return needed

    def start(self) -> None:
        super().start()
        wait_until(lambda: accepts(self.people_port), what="the other door is open")

    def save(self) -> None:
        """As it does each half minute."""
        store = self._store / "mosquitto.db"
        before = store.stat().st_mtime_ns if store.exists() else 0
        self._process.send_signal(signal.SIGUSR1)
        wait_until(lambda: store.exists() and store.stat().st_mtime_ns > before, what="saved")
