"""What a receiver can know of losses: each box's numbers, with gaps, repeats and forks."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from agent.kinds import LOST, TAKEN_OVER
from agent.records import Loss

Range = tuple[int, int]

_MAP = 5  # major type of RFC 8949, in the first three bits; no UTF-8 text begins with them

FURTHEST = 10_000_000
"""Numbers that one gap may have: a busy box sends that many in most of a year. A number beyond is a
mistake or a prank, and counting up to it would take the checker's memory."""


@dataclass(kw_only=True)
class Stream:
    """The numbers of one stream of one box, as far as they were heard."""

    box: str  # site/box
    st: str
    first: int  # from here on each number has to come
    last: int
    heard: dict[int, int] = field(default_factory=dict)  # sq -> what it carried, hashed
    told: list[Loss] = field(default_factory=list)  # what the box says will not come
    again: int = 0

    def missing(self) -> list[int]:
        """Numbers that have not come, with or without a reason."""
        return [sq for sq in range(self.first, self.last + 1) if sq not in self.heard]

    def explained(self, missing: Iterable[int]) -> tuple[dict[str, int], list[int]]:
        """How many of `missing` the box has given up, by reason, and those it is silent about.

        An account speaks of so many numbers in a range, not of which: each number is put down to
        the account whose range ends first, which leaves as few as possible without a reason.
        """
        accounts = sorted(self.told, key=lambda account: account.last)
        left = [account.count for account in accounts]
        reasons: dict[str, int] = {}
        silent: list[int] = []
        for sq in missing:
            for index, account in enumerate(accounts):
                if left[index] and account.first <= sq <= account.last:
                    left[index] -= 1
                    reasons[account.why] = reasons.get(account.why, 0) + 1
                    break
            else:
                silent.append(sq)
        return reasons, silent


class Ledger:
    """Takes every event that a subscriber hears; counts each once by (id, n).

    `whole`: the first number of each stream is 1. Otherwise a stream that was there before is
    judged from the lowest number heard.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self.streams: dict[tuple[str, str], Stream] = {}
        self.forks: dict[str, str] = {}  # box -> what shows that two write its stream
        self.unreadable = 0
        self.in_cbor = 0
        """Events in CBOR, where cbor2 is not installed."""
        self.late_s = array("d")  # of each event with a true time
        self._whole = whole
        self._current: dict[str, str] = {}  # box -> its newest stream
        self._seen: set[int] = set()  # (box, id, n), hashed

    @property
    def heard(self) -> int:
        return sum(len(stream.heard) for stream in self.streams.values())

    def hear(self, payload: bytes, at_ms: int) -> None:
        """One event as it came, at Unix ms `at_ms`."""
        try:
            body = _body(payload)
            box, st, sq = body["src"].rpartition("/")[0], body["st"], body["sq"]
            what = hash((box, body["id"], body.get("n", 0)))
            late_s = None if "te" in body else (at_ms - body["t"]) / 1000
            account = _account(body)
            taken_over = body["k"] == "audit" and body.get("why", "").startswith(TAKEN_OVER)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            self.unreadable += 1
            return
        except ModuleNotFoundError:
            self.in_cbor += 1
            return
        if not (isinstance(st, str) and isinstance(sq, int) and 1 <= sq <= self._furthest(box, st)):
            self.unreadable += 1
            return
        stream = self._stream(box, st, sq)
        if sq in stream.heard:
            stream.again += 1
            if stream.heard[sq] != what:
                self.forks.setdefault(box, f"number {sq} of {st} came with two contents")
            return
        stream.heard[sq] = what
        stream.first, stream.last = min(stream.first, sq), max(stream.last, sq)
        if what in self._seen:
            stream.again += 1
            return
        self._seen.add(what)
        if late_s is not None:
            self.late_s.append(late_s)
        if taken_over:
            self.forks.setdefault(box, f"it says: {body['why']}")
        if account is not None:
            stream.told.append(account)

    def _furthest(self, box: str, st: str) -> float:
        """The highest number that is believed: what lies between has to be counted."""
        if (box, st) in self.streams:
            return self.streams[box, st].last + FURTHEST
        return FURTHEST if self._whole or box in self._current else inf

    def _stream(self, box: str, st: str, sq: int) -> Stream:
        current = self._current.get(box)
        if (box, st) not in self.streams:
            # One that begins while we listen begins with 1.
            first = 1 if self._whole or current is not None else sq
            self.streams[box, st] = Stream(box=box, st=st, first=first, last=sq)
            self._current[box] = st
        elif current != st:
            self.forks.setdefault(box, f"streams {st} and {current} take turns")
        return self.streams[box, st]

    def silent(self) -> int:
        """Numbers that are missing without a reason, of all streams."""
        return sum(len(stream.explained(stream.missing())[1]) for stream in self.streams.values())


def _body(payload: bytes) -> Any:
    """JSON, or CBOR where it begins as a map of it does; ModuleNotFoundError without cbor2."""
    if not payload or payload[0] >> 5 != _MAP:
        return json.loads(payload)
    import cbor2  # an extra: boxes only write it

    try:
        return cbor2.loads(payload)
    except (cbor2.CBORDecodeError, EOFError) as error:
        raise ValueError(str(error)) from error


def _account(body: Mapping[str, Any]) -> Loss | None:
    if body["k"] != LOST:
        return None
    first, last = int(body["from"]), int(body["to"])
    count = int(body.get("c", last - first + 1))
    return Loss(broker="", first=first, last=last, count=count, why=str(body["why"]))


def ranges(numbers: Iterable[int]) -> list[Range]:
    """Ascending numbers, runs drawn together."""
    found: list[Range] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found
