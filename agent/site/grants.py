"""Who may write and read what: the contract's topics as rights, the same for every broker."""

from __future__ import annotations

from dataclasses import dataclass

from agent.site.plan import WANT, Person
from agent.topics import ROOT

EVIDENCE = frozenset({"evidence", "snapshot"})  # what is answered with a picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The rights of one account: topic filters of MQTT."""

    account: str
    writes: tuple[str, ...]
    reads: tuple[str, ...]


def box_grant(site: str, box: str) -> Grant:
    """Its own topics and no other."""
    root = ROOT.format(site=site, box=box)
    own = ("e/#", "status", "about", "health", "evidence/#", "re/#")
    return Grant(
        account=f"{site}_{box}",
        writes=tuple(f"{root}/{end}" for end in own),
        reads=(f"{root}/cmd/#", f"{root}/{WANT}"),
    )


def person_grant(site: str, person: Person) -> Grant:
    """Events and state of every box; commands under this account's own name, and their answers.

    Pictures are for those who may ask for them: who else asked, and for what, is nobody's business.
    """
    root = ROOT.format(site=site, box="+")
    commands = [each for each in person.may if each != WANT]
    reads = ["e/#", "status", "about", "health"]
    if commands:
        reads.append(f"re/{person.name}/#")
    if EVIDENCE & set(commands):
        reads.append("evidence/#")
    writes = [f"cmd/{person.name}/{each}" for each in commands]
    if WANT in person.may:
        writes.append(WANT)
    return Grant(
        account=person.name,
        writes=tuple(f"{root}/{end}" for end in writes),
        reads=tuple(f"{root}/{end}" for end in reads),
    )
