"""What people behind a broker ask of the box: who may, whether it is in time, what comes of it."""

from __future__ import annotations

import json
import re
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from agent.clock import Clock
from agent.records import Command, Moment, Reply
from agent.topics import COMMANDS

PER_MINUTE = 20
"""Commands of one broker, whoever asks; more than people need and less than wears a card."""

RANGE_MOST = 10_000
"""Numbers in one `resend`."""

_USER = re.compile(r"[A-Za-z0-9_.@-]{1,24}")  # with the command it fits a `why`
_REQUEST = re.compile(r"[\x21-\x7e]{1,64}")
_REMEMBERED = 256
_LONGEST_MS = 86_400_000  # an `exp` further ahead is a wrong clock, or a trap for later


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a command: done, or refused because of `why` (one word)."""

    why: str | None = None
    count: int | None = None
    event_id: str | None = None


SEEN = "seen"
"""The recorder's word: no request of a person, so not counted, not recorded, and true for ever."""

Act = Callable[[Command, Mapping[str, Any]], Outcome]


class Commands:
    """Obeys what one broker may ask, `acts` by name; `told(user, name, why)` records each.

    The same request twice (QoS 1 may bring it so) is answered twice and done once. What is not
    understood, and who is no user, get no answer: there is nobody to give it to.
    """

    def __init__(
        self, acts: Mapping[str, Act], clock: Clock, told: Callable[[str, str, str | None], None]
    ) -> None:
        self._acts = acts
        self._clock = clock
        self._told = told
        self._asked_ns: deque[int] = deque()
        self._answers: OrderedDict[tuple[str, str, str], Reply] = OrderedDict()

    def obey(self, command: Command) -> Reply | None:
        """The answer; None where there is none to give."""
        if not _USER.fullmatch(command.user) or command.name not in COMMANDS:
            return None
        if command.name == SEEN and SEEN in self._acts:
            return self._confirmed(command)
        request = _request(command.body)
        if request is None:
            return None
        key = command.user, command.name, request["rid"]
        if key in self._answers:
            return self._answers[key]
        now = self._clock.now()
        if not self._has_room(now):
            return _reply(command, request, Outcome(why="rate"))  # unrecorded: it would be a flood
        outcome = self._outcome(command, request, now)
        self._told(command.user, command.name, outcome.why)
        reply = self._answers[key] = _reply(command, request, outcome)
        if len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)
        return reply

    def _confirmed(self, command: Command) -> Reply | None:
        """Done at once, whatever the clock says; answered where it has a `rid`."""
        said = _object(command.body)
        outcome = self._acts[SEEN](command, said)
        return _reply(command, said, outcome) if _is_request_id(said.get("rid")) else None

    def _has_room(self, now: Moment) -> bool:
        while self._asked_ns and now.mono_ns - self._asked_ns[0] > 60_000_000_000:
            self._asked_ns.popleft()
        if len(self._asked_ns) >= PER_MINUTE:
            return False
        self._asked_ns.append(now.mono_ns)
        return True

    def _outcome(self, command: Command, request: Mapping[str, Any], now: Moment) -> Outcome:
        act = self._acts.get(command.name)
        if act is None:
            return Outcome(why="not-allowed")
        if not now.synced:
            return Outcome(why="no-clock")  # whether it has expired cannot be known
        if not now.utc_ms <= request["exp"] <= now.utc_ms + _LONGEST_MS:
            return Outcome(why="expired" if request["exp"] < now.utc_ms else "exp-too-far")
        return act(command, request)


def asked_range(request: Mapping[str, Any]) -> tuple[str, int, int] | None:
    """Stream, first and last number of a `resend`; None where it names no range to be had."""
    st, first, last = request.get("st"), request.get("from"), request.get("to")
    if not (isinstance(st, str) and _is_whole(first) and _is_whole(last)):
        return None
    return (st, first, last) if 1 <= first <= last < first + RANGE_MOST else None


def seen_number(request: Mapping[str, Any]) -> tuple[str, int] | None:
    """Stream and last number of a `seen`; None where it names none."""
    st, sq = request.get("st"), request.get("sq")
    return (st, sq) if isinstance(st, str) and _is_whole(sq) and sq >= 0 else None


def verdict_of(request: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Event and whether it was right, of a `feedback`; None where it says neither."""
    event_id, right = request.get("id"), request.get("ok")
    return (event_id, right) if isinstance(event_id, str) and isinstance(right, bool) else None


def _request(body: bytes) -> dict[str, Any] | None:
    request = _object(body)
    if not _is_whole(request.get("exp")) or not _is_request_id(request.get("rid")):
        return None
    return request


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_request_id(value: object) -> bool:
    return isinstance(value, str) and _REQUEST.fullmatch(value) is not None


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 63


def _reply(command: Command, request: Mapping[str, Any], outcome: Outcome) -> Reply:
    return Reply(
        user=command.user,
        name=command.name,
        request_id=request["rid"],
        code=0 if outcome.why is None else 1,
        why=outcome.why,
        count=outcome.count,
        event_id=outcome.event_id,
    )
