"""What goes to boxes and brokers, as one folder: made out of site.yaml and authority each time."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from agent.errors import SiteError
from agent.site.authority import Authority, pem
from agent.site.grants import box_grant, person_grant
from agent.site.mosquitto import acl, passwords
from agent.site.plan import Site, broker_name
from agent.site.rabbitmq import crl_file_name, definitions, template_key

_PASSWORD_BYTES = 18


def lay_out(site: Site, authority: Authority, logins: Path, out: Path) -> None:
    """Write `out`: boxes/BOX, office, and city where the site has one.

    Only who has a certificate that is not revoked has rights. `logins` is the folder of the
    people's passwords; who has none yet gets one.
    """
    certified = {box: name for box, name in site.names().items() if authority.current(name)}
    for box in site.boxes:
        _box(box, site.names()[box], authority, out / "boxes" / box)
    _office(site, list(certified), authority, logins, out / "office")
    if site.city is not None:
        _city(site, list(certified), authority, out / "city")


def _box(box: str, name: str, authority: Authority, folder: Path) -> None:
    current = authority.current(name)
    if current is None:
        (folder / "box.pem").unlink(missing_ok=True)
        return
    _write(folder / "box.pem", pem(current))
    _write(folder / "ca.pem", pem(authority.certificate))


def _office(
    site: Site, certified: list[str], authority: Authority, logins: Path, folder: Path
) -> None:
    grants = [box_grant(site.site, box) for box in certified]
    people = [person_grant(site.site, person) for person in site.people.values()]
    _write(folder / "acl", acl([*grants, *people]).encode())
    known = {name: _password(logins, name) for name in site.people}
    _write(folder / "passwords", passwords(known).encode(), mode=0o600)
    _authority(authority, broker_name(site.site, "office"), folder)
    _write(folder / "crl.pem", authority.crl_pem)


def _city(site: Site, certified: list[str], authority: Authority, folder: Path) -> None:
    grants = [box_grant(site.site, box) for box in certified]
    template = site.city.topic if site.city else None
    keys = [template_key(template, site.site, box) if template else "" for box in certified]
    made = json.dumps(definitions(grants, keys), indent=1)
    _write(folder / "definitions.json", f"{made}\n".encode())
    _write(folder / "site", f"{site.site}\n".encode())
    _authority(authority, broker_name(site.site, "city"), folder)
    _write(folder / "crl" / crl_file_name(authority.certificate.subject), authority.crl_pem)
    accounts = [grant.account for grant in grants]
    _write(folder / "accounts", _lines(accounts))
    gone = {name: authority.last_revoked(name) for name in site.names().values()}
    latest_first = sorted(((at, name) for name, at in gone.items() if at), reverse=True)
    _write(folder / "revoked", _lines(name for _, name in latest_first))


def _lines(words: Iterable[str]) -> bytes:
    return "".join(f"{word}\n" for word in words).encode()


def _authority(authority: Authority, broker: str, folder: Path) -> None:
    _write(folder / "ca.pem", pem(authority.certificate))
    current = authority.current(broker)
    if current is not None:
        _write(folder / "broker.pem", pem(current))


def _password(logins: Path, name: str) -> str:
    """Of an account: the second half of NAME.login, made where it is missing."""
    file = logins / f"{name}.login"
    try:
        if not file.exists():
            logins.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(file, f"{name}:{secrets.token_urlsafe(_PASSWORD_BYTES)}\n".encode(), mode=0o600)
        user, _, password = file.read_text("utf-8").strip().partition(":")
    except (OSError, UnicodeDecodeError) as error:
        raise SiteError(f"{file}: cannot be read: {error}") from error
    if user != name or not password:
        raise SiteError(f"{file}: is not one line {name}:PASSWORD; erase it for a new one")
    return password


def _write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Leaves alone what is the same already: a broker tells by the file what is new."""
    try:
        if path.exists() and path.read_bytes() == content:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
        part.replace(path)
    except OSError as error:
        raise SiteError(f"{path}: {error.strerror}") from error
