"""One box at work: its cameras, its outbox and its brokers, each a supervised thread."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent import __version__
from agent.acts import OTA, Acts
from agent.allocator import give_back
from agent.budget import HEALTH_S, Budget, Saving, Sparing
from agent.camera_loop import CameraLoop
from agent.clock import Clock, SystemClock, boot_id
from agent.config.disclosure import disclose
from agent.config.model import BrokerConfig, CameraConfig, Config
from agent.config.sending import wants
from agent.errors import StoreError
from agent.evidence.album import Album
from agent.feedback import Feedback
from agent.health import (
    SLOWED,
    UNDER_VOLTAGE,
    CpuMeter,
    disk_free_percent,
    rss_mb,
    temperature_c,
    throttled,
)
from agent.hotlist.shelf import ARRIVED, News, Shelf
from agent.kinds import CLOCK, DISK, HOT, LOST, POWER, TAKEN_OVER, WHY_LIMIT_CHARS
from agent.outbox.outbox import Outbox
from agent.outbox.writer import OutboxWriter
from agent.pipeline import Eyes, Keeping
from agent.privacy.privacy import Privacy
from agent.privacy.pseudonyms import Pseudonyms
from agent.proving import Proving
from agent.publish.expiry import Expiry
from agent.publish.publisher import Publisher
from agent.records import (
    About,
    Event,
    Health,
    Loss,
    Message,
    Phase,
    QueueHealth,
    Status,
)
from agent.rules.clock import ClockWatch
from agent.rules.plates import PlatePolicy
from agent.rules.trouble import Trouble
from agent.sharing import Sharing
from agent.supervise import Loop, Pulse
from agent.timekeeper import CLOCK_FILE, Timekeeper
from agent.ulid import UlidMaker

OUTBOX = "outbox.db"

HOTLISTS = "hotlists"

UPDATES = f"{OTA}/floors.json"

EVIDENCE = "evidence"

FEEDBACK = "feedback.json"

LINE = "line.json"

_HOTLISTS_EVERY_S = 60.0
_ABOUT_EVERY_S = 86_400.0
_LOSSES_EVERY_S = 60.0
_REDATE_S = 0.3  # of each second
_IN_MEMORY_S = 3.0  # what was said before the clock was set is on the disk by then
_DISK_FREE_PERCENT = 3.0  # with less, the disk is nearly full
_VERSION_CHARS = 40
# Of the 5 s that a stop may take: cameras end their occurrences, the writer stores them, the
# publishers drain.
_CAMERAS_STOP_S = 1.2
_WRITER_STOP_S = 1.0
_DRAIN_S = 2.5


class Box:
    """Everything that `config` asks for; `start`, `tick` each second, `stop`.

    `state` is a folder that outlives the process. Raises ModelError and StoreError when it
    cannot be built.
    """

    def __init__(self, config: Config, state: Path, eyes: Eyes, clock: Clock | None = None) -> None:
        self.config = config
        self.pulse = Pulse()
        self._state = state
        self._keeper = Timekeeper(state / CLOCK_FILE, boot_id(), time.monotonic_ns())
        self._keeper.raise_to(_signed_ms(state / UPDATES), time.monotonic_ns())
        self._clock = clock or SystemClock(self._keeper)
        self.proving = Proving(state, eyes, config, self._clock)
        self._since_ms = self._clock.now().utc_ms
        pseudonyms = config.privacy.plates == "pseudonym"
        self._privacy = Privacy(
            config.site, config.box, boot_id(), Pseudonyms(config.timezone) if pseudonyms else None
        )
        self.hotlists = Shelf(config.hotlists.values(), state / HOTLISTS, state / ARRIVED)
        self._plates = PlatePolicy(in_force=self.hotlists.in_force, pseudonyms=pseudonyms)
        self._ids = UlidMaker(random.SystemRandom())
        kept = config.evidence
        self._album = (
            Album(state / EVIDENCE, keep_s=kept.keep_s, max_bytes=kept.max_bytes)
            if kept.kinds
            else None
        )
        self.sharing = Sharing(threads=config.infer.threads)
        limit_bytes = config.link.budget_bytes_per_day if config.link.metered else None
        self.budget = Budget(state / LINE, limit_bytes)
        self._feedback = Feedback(state / FEEDBACK, keep_s=config.retention_s)
        self.outbox = Outbox(
            state / OUTBOX,
            {name: _taker(config, broker) for name, broker in config.brokers.items()},
            config.outbox,
            self._clock,
            seen_at=[name for name, each in config.brokers.items() if each.receipt == "seen"],
        )
        self.writer = OutboxWriter(
            self.outbox, progress=lambda: self.pulse.beat("outbox"), stored=self._wake_publishers
        )
        self.cameras = {name: self._camera(camera) for name, camera in config.cameras.items()}
        self._acts = Acts(
            state,
            cameras=self.cameras,
            outbox=self.outbox,
            album=self._album,
            feedback=self._feedback,
            privacy=self._privacy,
            ids=self._ids,
            clock=self._clock,
            audit=lambda why: self.tell("audit", why),
        )
        self.publishers = {name: self._publisher(broker) for name, broker in config.brokers.items()}
        sink = Sparing(self.writer, self.budget)
        self._camera_loops = [
            loop for camera in self.cameras.values() for loop in camera.loops(sink)
        ]
        self._writer_loop = Loop("outbox", self.writer.run, self.pulse)
        self._publisher_loops = [
            Loop(f"publish {name}", publisher.run, self.pulse)
            for name, publisher in self.publishers.items()
        ]
        self._stopped = False
        self._cpu = CpuMeter()
        self._health_due_s = self._about_due_s = self._hotlists_due_s = self._losses_due_s = 0.0
        self._disk, self._hot, self._power = (
            Trouble(kind, self._ids) for kind in (DISK, HOT, POWER)
        )
        self._given_up = 0
        self._expiry = Expiry(config.brokers)
        # By how much, until when more may come, and the row that was reached.
        self._redate: tuple[int, float, int] | None = None
        self._clock_watch = ClockWatch(was_unset=self.outbox.has_undated(boot_id()))

    @property
    def eyes(self) -> Eyes:
        """The models that speak for the box now."""
        return self.proving.eyes

    @property
    def restart_asked(self) -> bool:
        """Somebody who may has asked for it."""
        return self._acts.restart_asked

    @property
    def restarts(self) -> int:
        """Threads that died and were started again."""
        return sum(loop.restarts for loop in self._loops())

    def say_about(self) -> None:
        """What the box is and how it does, at the next tick."""
        self._about_due_s = self._health_due_s = 0.0

    def start(self) -> None:
        """End what a crash left open, open the hotlists, then start every thread."""
        self._end_unfinished()
        self.look_at_hotlists()
        for loop in self._loops():
            loop.start()
        self._health_due_s = time.monotonic() + 5.0  # by then there is something to say

    def tick(self) -> None:
        """Do what is due.

        Look at the clock and the disk; each minute look at the hotlists, say the vital signs and
        what will never come, give memory back; at the start, daily and with new hotlists say what
        the box is.
        """
        now_s = time.monotonic()
        self._look_at_clock()
        self.budget.look(self._clock.now())
        self._look_at_disk()
        self._look_at_board(now_s)
        self._salvage()
        self._look_at_updates()
        if self._album is not None:
            self._album.tidy(self._clock.now().mono_ns)
        if now_s >= self._losses_due_s:
            self._losses_due_s = now_s + _LOSSES_EVERY_S
            give_back()
            self._tell_losses()
        if now_s >= self._hotlists_due_s:
            self.look_at_hotlists()
        if now_s >= self._about_due_s:
            self._about_due_s = now_s + _ABOUT_EVERY_S
            self._tidy_feedback()
            for why in self._expiry.look(self._clock.now()):
                self.tell("audit", why)
            self._say(self._privacy.about(About(at=self._clock.now(), facts=self._facts())))
        if now_s >= self._health_due_s:
            self._health_due_s = now_s + HEALTH_S[self.budget.saving]
            self._say(self._privacy.health(self.health()))

    def look_at_hotlists(self) -> None:
        """Take over new hotlists, tell of each that came, was refused or has ended."""
        self._hotlists_due_s = time.monotonic() + _HOTLISTS_EVERY_S
        for news in self.hotlists.look(self._clock.now().utc_ms):
            self._about_due_s = 0.0
            self.tell("audit", news.why, **_of_hotlist(news))

    def tell(self, kind: str, why: str, **what: Any) -> None:
        """An event of the box itself."""
        self._submit(self._own_event(kind, why, **what))

    def _own_event(self, kind: str, why: str, **what: Any) -> Event:
        at = self._clock.now()
        return Event(
            event_id=self._ids(at.utc_ms),
            n=0,
            phase=Phase.ONCE,
            at=at,
            camera_id=None,
            kind=kind,
            why=why,
            **what,
        )

    def _look_at_clock(self) -> None:
        """Once it is set, and when it is set anew, tell what corrects the times of this boot.

        What waits is corrected here; what has been sent, by the receiver.
        """
        now = self._clock.now()
        self._keeper.look(now)
        correction = self._clock_watch.look(now)
        if correction is not None:
            self._privacy.correct(correction.offset_ms)
            self.tell(CLOCK, correction.why, offset_ms=correction.offset_ms)
            self.writer.hurry()
            self._redate = correction.offset_ms, time.monotonic() + _IN_MEMORY_S, 0
        self._redate_waiting(time.monotonic())

    def _redate_waiting(self, now_s: float) -> None:
        """A part each second: weeks of waiting rows must not hold up the watchdog."""
        while self._redate is not None and time.monotonic() < now_s + _REDATE_S:
            offset_ms, until_s, after = self._redate
            try:
                reached = self.outbox.redate(boot_id(), offset_ms, self._privacy.redated, after)
            except StoreError:  # told by the writer; box.clock corrects these too
                return
            if reached is not None:
                self._redate = offset_ms, until_s, reached
            elif now_s >= until_s:
                self._redate = None
            else:
                return

    def _look_at_updates(self) -> None:
        before = self.eyes
        for news in self.proving.tick():
            self.say_about()
            self.tell(news.kind, news.why, version=news.what[:_VERSION_CHARS])
        if self.eyes is not before:
            for camera in self.cameras.values():
                camera.look_with(self.eyes)

    def _look_at_disk(self) -> None:
        given_up = self.outbox.evicted + self.writer.refused
        why = self._disk_trouble(more=given_up > self._given_up)
        self._given_up = given_up
        for event in self._disk.look(self._clock.now(), why, given_up):
            self._submit(event)

    def _look_at_board(self, now_s: float) -> None:
        bits = throttled() or 0
        self.sharing.tick(now_s, time.process_time(), temperature_c(), slowed=bool(bits & SLOWED))
        now = self._clock.now()
        weak = "under-voltage" if bits & UNDER_VOLTAGE else None
        for event in self._hot.look(now, self.sharing.trouble) + self._power.look(now, weak):
            self._submit(event)

    def _disk_trouble(self, *, more: bool) -> str | None:
        """The one word for what is wrong with keeping events; `more` were given up since."""
        if self.outbox.take_set_aside():
            return "damaged"
        if self.writer.error is not None:
            return "failing"
        if more:
            return "outbox-full"
        free = disk_free_percent(self._state)
        return "disk-full" if free is not None and free < _DISK_FREE_PERCENT else None

    def _salvage(self) -> None:
        try:
            self.outbox.salvage(self._privacy.restored)
        except StoreError:  # told by the writer; the next tick goes on where this one stopped
            return

    def _tell_losses(self) -> None:
        try:
            self.outbox.tell_losses(self._account)
        except StoreError:  # told by the writer; what was lost is kept for the next time
            return

    def _tidy_feedback(self) -> None:
        with suppress(StoreError):  # the disk's trouble is told by the writer
            self._feedback.tidy(self._clock.now())

    def _account(self, loss: Loss) -> Message:
        return self._privacy.event(self._own_event(LOST, loss.why, loss=loss))

    def health(self) -> Health:
        """The vital signs now."""
        return Health(
            at=self._clock.now(),
            cameras={name: camera.health() for name, camera in self.cameras.items()},
            queues={name: queue for name in self.publishers if (queue := self._queue(name))},
            cpu_percent=self._cpu.percent(),
            rss_mb=rss_mb(),
            temp_c=temperature_c(),
            throttled=throttled(),
            disk_free_percent=disk_free_percent(self._state),
            clock_offset_ms=self._keeper.offset_ms,
            restarts=self.restarts,
            given_up=self.writer.refused,
            step=self.sharing.step,
            updates=self.proving.report(),
            line=self.budget.report(),
        )

    def stop(self, why: str) -> bool:
        """Cameras first, then what they said is stored, then it is sent; False when late.

        Takes 5 s at the most: what cannot be sent by then waits on the disk. A box that has been
        stopped is not stopped again.
        """
        if self._stopped:
            return True
        self._stopped = True
        self.proving.stop()
        for camera in self.cameras.values():
            camera.end_with(why)
        for loop in self._camera_loops:
            loop.ask_to_stop()
        for camera in self.cameras.values():
            camera.close()
        in_time = _end(self._camera_loops, _CAMERAS_STOP_S)
        for trouble in (self._disk, self._hot, self._power):
            for event in trouble.close(self._clock.now(), why):
                self._submit(event)
        self._writer_loop.ask_to_stop()
        self.writer.hurry()
        in_time &= _end([self._writer_loop], _WRITER_STOP_S)
        in_time &= _end(self._publisher_loops, _DRAIN_S + 0.2)
        self.outbox.close()
        self.budget.save()
        return in_time

    def _wake_publishers(self) -> None:
        for publisher in self.publishers.values():
            publisher.wake()

    def _loops(self) -> tuple[Loop, ...]:
        return (self._writer_loop, *self._publisher_loops, *self._camera_loops)

    def _end_unfinished(self) -> None:
        for each in self.outbox.unfinished():
            self._submit(
                Event(
                    event_id=each.message_id,
                    n=each.n + 1,
                    phase=Phase.END,
                    at=self._clock.now(),
                    camera_id=None if each.camera == "_box" else each.camera,
                    kind=each.kind,
                    hotlist=each.hotlist or None,
                    why="restart",
                )
            )

    def _submit(self, event: Event) -> None:
        self.writer.submit(self._privacy.event(event))

    def _camera(self, camera: CameraConfig) -> CameraLoop:
        keeping = None
        if self._album is not None:
            keeping = Keeping(kinds=frozenset(self.config.evidence.kinds), add=self._album.add)
        return CameraLoop(
            camera,
            eyes=self.eyes,
            privacy=self._privacy,
            clock=self._clock,
            pulse=self.pulse,
            sharing=self.sharing,
            plates=self._plates,
            beside=self.proving.beside(camera),
            keeping=keeping,
            counts_s=lambda: self.budget.counts_s,
        )

    def _publisher(self, broker: BrokerConfig) -> Publisher:
        name = f"publish {broker.broker_id}"
        return Publisher(
            broker,
            site=self.config.site,
            box=self.config.box,
            queue=self.outbox,
            clock=self._clock,
            status=self._status,
            progress=lambda: self.pulse.beat(name),
            obey=self._acts.of(broker),
            # Who may ask for updates may delay them.
            wants=self._acts.hold if "update" in broker.commands else None,
            taken_over=lambda: self._tell_taken_over(broker.broker_id),
            spent=self.budget.spend,
            alerts_only=lambda: self.budget.saving is Saving.ALERTS,
            drain_s=_DRAIN_S,
        )

    def _tell_taken_over(self, broker: str) -> None:
        self.tell("audit", f"{TAKEN_OVER} at {broker}"[:WHY_LIMIT_CHARS])

    def _status(self, up: bool) -> Message:
        return self._privacy.status(Status(up=up, version=__version__, since_ms=self._since_ms))

    def _say(self, message: Message) -> None:
        for publisher in self.publishers.values():
            publisher.publish_now(message)

    def _queue(self, broker: str) -> QueueHealth | None:
        try:
            return self.outbox.counts(broker)
        except StoreError:  # the disk's trouble is told by the writer
            return None

    def _facts(self) -> dict[str, Any]:
        """What `about` says: who is asked, where it stands, what it looks for, what leaves."""
        cameras = {
            name: {"role": list(camera.roles), "preset": camera.preset}
            | ({"name": dict(camera.name)} if camera.name else {})
            | ({"at": list(camera.at)} if camera.at else {})
            for name, camera in self.config.cameras.items()
        }
        in_force = self.hotlists.in_force(self._clock.now().utc_ms)
        packages = [model.package for model in self.eyes.models.values()]
        return {
            "v": __version__,
            "cameras": cameras,
            "models": {package.name: package.version for package in packages},
            "hotlists": {hotlist.name: hotlist.label for hotlist in in_force},
            "sends": [each.facts() for each in disclose(self.config)],
            "ota": self.proving.report(),
            "certificates": self._expiry.days(),
        } | ({"feedback": report} if (report := self._feedback.report()) else {})


def _taker(config: Config, broker: BrokerConfig) -> Callable[[Message], bool]:
    def takes(message: Message) -> bool:
        own = message.broker in ("", broker.broker_id)
        return own and wants(config, broker, message.kind, message.hotlist)

    return takes


def _signed_ms(memory: Path) -> int:
    """When the newest update that was verified here was signed, Unix ms; 0 where none was."""
    try:
        return int(json.loads(memory.read_bytes())["issued_s"]) * 1000
    except (OSError, ValueError, TypeError, KeyError):
        return 0


def _of_hotlist(news: News) -> dict[str, Any]:
    return {"hotlist": news.hotlist, "version": news.label, "count": news.size}


def _end(loops: list[Loop], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    for loop in loops:
        loop.ask_to_stop()
    ended = [loop.join(max(0.0, deadline - time.monotonic())) for loop in loops]
    return all(ended)
