"""What a box does for people behind a broker: the commands by their names, and `want`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent.camera_loop import CameraLoop
from agent.clock import Clock
from agent.commands import Act, Commands, Outcome, asked_range, seen_number, verdict_of
from agent.config.model import BrokerConfig
from agent.errors import StoreError
from agent.evidence.album import Album
from agent.feedback import Feedback, Verdict
from agent.kinds import WHY_LIMIT_CHARS
from agent.ota import hold
from agent.outbox.outbox import Outbox
from agent.privacy.picture import picture_of
from agent.privacy.privacy import Privacy
from agent.records import Command, Message
from agent.ulid import UlidMaker

UPDATE_ASKED = "update-asked"

OTA = "ota"

_LATEST_S = 60.0  # a picture older than this is not what the camera sees


class Acts:
    """Obeys brokers, each within what its entry lists; `audit(why)` tells of each request.

    `state` is the box's folder; `restart_asked` is for the daemon to see.
    """

    def __init__(
        self,
        state: Path,
        *,
        cameras: Mapping[str, CameraLoop],
        outbox: Outbox,
        album: Album | None,
        feedback: Feedback,
        privacy: Privacy,
        ids: UlidMaker,
        clock: Clock,
        audit: Callable[[str], None],
    ) -> None:
        self.restart_asked = False
        self._state = state
        self._cameras = cameras
        self._outbox = outbox
        self._album = album
        self._feedback = feedback
        self._privacy = privacy
        self._ids = ids
        self._clock = clock
        self._audit = audit

    def of(self, broker: BrokerConfig) -> Callable[[Command], list[Message]]:
        """What obeys this broker: from a command to pictures and the answer, in this order."""
        pictures: list[Message] = []
        acts: dict[str, Act] = {
            "snapshot": lambda _, request: self._snapshot(request, pictures),
            "evidence": lambda _, request: self._evidence(request, pictures),
            "feedback": self._hear_verdict,
            "resend": self._resend,
            "restart": self._restart,
            "update": self._update,
            "seen": self._seen,
        }
        may = {command: acts[command] for command in broker.commands if command in acts}
        commands = Commands(may, self._clock, self._record)

        def obey(command: Command) -> list[Message]:
            reply = commands.obey(command)
            answers = [*pictures, self._privacy.reply(reply)] if reply is not None else []
            pictures.clear()
            return answers

        return obey

    def hold(self, body: bytes) -> None:
        """The office wants updates to wait, or no longer."""
        folder = self._state / OTA
        before = hold.load(folder)
        wanted = hold.asked(body, self._clock.now().utc_ms, before)
        if wanted is None or wanted == before:
            return
        try:
            hold.save(folder, wanted)
        except OSError:  # told by the look at the disk; the broker says it again
            return
        if wanted.names != before.names:
            said = " ".join(wanted.names) or "nothing"
            self._audit(f"hold {said}"[:WHY_LIMIT_CHARS])

    def _record(self, user: str, command: str, why: str | None) -> None:
        self._audit(f"{command} for {user}" if why is None else f"no {command} for {user}")

    def _snapshot(self, request: Mapping[str, Any], pictures: list[Message]) -> Outcome:
        camera, now = self._cameras.get(str(request.get("cam"))), self._clock.now()
        if camera is None:
            return Outcome(why="no-camera")
        frame = camera.latest
        if frame is None or now.mono_ns - frame.t_mono_ns > _LATEST_S * 1e9:
            return Outcome(why="no-picture")
        return self._picture(self._ids(now.utc_ms), picture_of(frame), pictures)

    def _evidence(self, request: Mapping[str, Any], pictures: list[Message]) -> Outcome:
        event_id = str(request.get("id"))
        jpeg = self._album.get(event_id) if self._album is not None else None
        if jpeg is None:
            return Outcome(why="no-picture")
        return self._picture(event_id, jpeg, pictures)

    def _picture(self, event_id: str, jpeg: bytes, pictures: list[Message]) -> Outcome:
        pictures.append(self._privacy.evidence(event_id, jpeg))
        return Outcome(event_id=event_id)

    def _hear_verdict(self, _command: Command, request: Mapping[str, Any]) -> Outcome:
        said = verdict_of(request)
        if said is None:
            return Outcome(why="bad-verdict")
        event_id, right = said
        try:
            told = self._outbox.told(event_id)
            if told is None:
                return Outcome(why="no-event")
            kind, camera = told
            at_ms = self._clock.now().utc_ms
            self._feedback.add(
                Verdict(event_id=event_id, kind=kind, camera=camera, right=right, at_ms=at_ms)
            )
        except StoreError:
            return Outcome(why="disk")
        return Outcome(event_id=event_id)

    def _resend(self, command: Command, request: Mapping[str, Any]) -> Outcome:
        asked = asked_range(request)
        if asked is None:
            return Outcome(why="bad-range")
        return _counted(lambda: self._outbox.send_again(command.broker, *asked))

    def _seen(self, command: Command, said: Mapping[str, Any]) -> Outcome:
        found = seen_number(said)
        if found is None:
            return Outcome(why="bad-number")
        return _counted(lambda: self._outbox.seen(command.broker, *found))

    def _update(self, _command: Command, _request: Mapping[str, Any]) -> Outcome:
        """The service that fetches waits for this file to change (systemd/mahalla-ota.path)."""
        try:
            (self._state / UPDATE_ASKED).write_text(f"{self._clock.now().utc_ms}\n")
        except OSError:
            return Outcome(why="disk")
        return Outcome()

    def _restart(self, _command: Command, _request: Mapping[str, Any]) -> Outcome:
        self.restart_asked = True
        return Outcome()


def _counted(act: Callable[[], int | None]) -> Outcome:
    """Of how many rows the outbox took note; none where the numbers are of another stream."""
    try:
        count = act()
    except StoreError:  # told by the writer
        return Outcome(why="disk")
    return Outcome(why="other-stream") if count is None else Outcome(count=count)
