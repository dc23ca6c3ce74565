"""What waits in memory to be stored, and when it has waited long enough."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from agent.records import Message, Priority

WAIT_S: Mapping[Priority, float] = {Priority.ALERT: 0.0, Priority.EVENT: 2.0, Priority.COUNT: 30.0}
"""How long a message may wait for others to share a commit with, and what a crash may cost.

A commit writes whole pages of each table and index, for one row as for a hundred.
"""


class Batch:
    """Messages in the order in which they came; the caller keeps threads apart.

    Past `room` the least important is given up, the oldest of it first.
    """

    def __init__(self, room: int, wait_s: Mapping[Priority, float] = WAIT_S) -> None:
        self._room = room
        self._wait_s = wait_s
        self._waiting: list[tuple[float, Message]] = []
        self.due_s: float | None = None
        """Monotonic moment at which all that waits is to be stored; None while nothing does."""

    def add(self, message: Message, now_s: float) -> bool:
        """Take `message` up; False where one had to be given up for it."""
        due_s = now_s + self._wait_s[message.priority]
        self._waiting.append((due_s, message))
        self.due_s = due_s if self.due_s is None else min(self.due_s, due_s)
        if len(self._waiting) <= self._room:
            return True
        least = max(each.priority for _, each in self._waiting)
        index = next(i for i, (_, each) in enumerate(self._waiting) if each.priority is least)
        del self._waiting[index]
        return False

    def messages(self) -> list[Message]:
        return [message for _, message in self._waiting]

    def forget(self, stored: Collection[Message]) -> None:
        """Those are on the disk; what has come meanwhile is due when it was."""
        gone = {id(message) for message in stored}
        self._waiting = [(due_s, each) for due_s, each in self._waiting if id(each) not in gone]
        self.due_s = min((due_s for due_s, _ in self._waiting), default=None)
