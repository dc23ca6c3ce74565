"""The maintainer's desk: what is signed and struck off for one mahalla, and then laid out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from agent.config.problems import nearest
from agent.errors import SiteError
from agent.site.authority import Authority, key_of
from agent.site.layout import lay_out
from agent.site.plan import Site, broker_name
from agent.site.request import fingerprint, read_request

_BROKER_LIFE_DAYS = 3650
_SOON_DAYS = 90


class Desk:
    """One site and its authority.

    `ask` gives the passphrase of a key file, and is called at the first signature only; `say`
    hears a line for each thing that was done. Raises SiteError, before anything is signed where
    that can be known.
    """

    def __init__(
        self,
        site: Site,
        *,
        ask: Callable[[Path], str],
        logins: Path,
        out: Path,
        say: Callable[[str], None],
    ) -> None:
        self._site = site
        self._authority = Authority(site.authority)
        self._ask = ask
        self._logins = logins
        self._out = out
        self._say = say
        self._now = datetime.now(timezone.utc)
        # Who has a certificate from us, and the hosts of those that are brokers.
        self._hosts: dict[str, tuple[str, ...]] = dict.fromkeys(site.names().values(), ())
        self._hosts |= {name: broker.hosts for name, broker in site.brokers().items()}

    def build(self, requests: Path | None) -> list[str]:
        """Sign each request that is new; answers who has neither certificate nor request."""
        found, waiting = {}, []
        for name in self._hosts:
            file = requests / f"{name}.csr" if requests else None
            if file is not None and file.exists():
                key = read_request(file, name)
                self._refuse_another(name, key, file)
                found[name] = key
            elif self._authority.current(name) is None:
                waiting.append(name)
        for name, key in found.items():
            if self._authority.current(name) is None:
                self._sign(name, key)
        return waiting

    def _refuse_another(self, name: str, key: ec.EllipticCurvePublicKey, file: Path) -> None:
        """A request that comes later is somebody else's, until the maintainer says otherwise."""
        present = self._authority.current(name)
        if present is None and self._authority.issued(name):
            raise SiteError(f"{name} is revoked; `mahalla site replace` lets another in its place")
        if present is not None and key_of(present) != key:
            raise SiteError(f"{file}: is not the key that {name} has; see `mahalla site replace`")

    def renew(self, words: Sequence[str]) -> None:
        """A new certificate for the same key, for these or for all that end soon."""
        named = [self._name(word) for word in words]
        for name in named or self._hosts:
            present = self._authority.current(name)
            if present is None:
                if named:
                    raise SiteError(f"{name} has no certificate; `mahalla site build` signs one")
                continue
            if named or (present.not_valid_after_utc - self._now).days < _SOON_DAYS:
                self._sign(name, key_of(present))

    def replace(self, word: str, requests: Path) -> None:
        """Another machine in the place of one: its key is signed, all earlier ones are revoked."""
        name = self._name(word)
        key = read_request(requests / f"{name}.csr", name)
        earlier = self._authority.issued(name)
        if any(key_of(each) == key for each in earlier):
            raise SiteError(f"{name} has had this key already; a new machine makes its own")
        self._strike([each.serial_number for each in earlier])
        self._sign(name, key)

    def revoke(self, word: str) -> None:
        """Shut out whoever holds a certificate of this name."""
        name = self._name(word)
        serials = self._authority.serials(name)
        if not serials:
            raise SiteError(f"{name} has no certificate")
        self._strike(serials)

    def revoke_serial(self, serial: int) -> None:
        """Shut out whoever holds this one certificate."""
        if self._authority.owner(serial) is None:
            raise SiteError(f"{serial:x}: no certificate of this authority has this number")
        self._strike([serial])

    def lay_out(self) -> None:
        """Write the folder for boxes and brokers."""
        lay_out(self._site, self._authority, self._logins, self._out)
        parts = ["boxes", "office", *(["city"] if self._site.city else [])]
        self._say(f"{self._out}: {', '.join(f'{part}/' for part in parts)}")

    def _name(self, word: str) -> str:
        """Of a box of the site, or of one of its brokers, by what people call it."""
        if word in self._site.boxes:
            return self._site.names()[word]
        broker = broker_name(self._site.site, word)
        if broker in self._hosts:
            return broker
        hint = nearest(word, self._site.boxes)
        raise SiteError(f"{self._site.site} has no box {word}" + (f"; {hint}" if hint else ""))

    def _sign(self, name: str, key: ec.EllipticCurvePublicKey) -> None:
        self._unlock()
        hosts = self._hosts[name]
        days = _BROKER_LIFE_DAYS if hosts else self._site.life_days
        signed = self._authority.issue(name, key, life_days=days, now=self._now, hosts=hosts)
        until = f"{signed.not_valid_after_utc:%Y-%m-%d}"
        serial = f"{signed.serial_number:x}"
        self._say(f"{name}: signed until {until}, serial {serial}, key {fingerprint(key)}")

    def _strike(self, serials: Sequence[int]) -> None:
        self._unlock()
        for serial in self._authority.revoke(serials, self._now):
            self._say(f"{self._authority.owner(serial)}: revoked serial {serial:x}")

    def _unlock(self) -> None:
        if not self._authority.unlocked:
            self._authority.unlock(self._ask(self._authority.key_file))
