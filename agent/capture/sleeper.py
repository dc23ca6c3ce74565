"""A stream that is decoded only while something happens.

Asleep, the decoder is freed and the coded pictures are kept; what wakes it is the gate over their
sizes, or a keyframe that is decoded now and then and looks different. It then begins a little in
the past, so that nothing of what woke it is lost, and catches up with the present.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator

from agent.capture.attention import Attention
from agent.capture.decoding import Decoder
from agent.capture.gate import PacketGate, Sign
from agent.capture.kept import KEPT_BYTES, KeptUnits
from agent.capture.pictures import YuvPicture
from agent.capture.rtp import AccessUnit

log = logging.getLogger(__name__)

_NS = 1_000_000_000

LOOKBACK_S = 3.0
"""Handed on from before a wake: a block of sizes is judged half a second after it began, a small
passer is told by the second or third; and between two looks at keyframes lies less than this."""
HEARTBEAT_S = 60.0
"""Where sizes tell, one keyframe is looked at this often: a decoder opened for one 1080p picture
costs 10 to 18 ms, so this adds 0.3 ms a second to the 0.4 of taking packets apart and judging."""
SPARSE_S = 1.5
"""Where sizes tell nothing, keyframes are looked at, no two closer than this."""
_LONG_S = 10.5
"""With keyframes further apart than this, a wake has too much to decode before it shows anything:
13 s of 1080p25 take a second on a desktop, and several on a small board."""
_FAR_S = 2.2
"""... and if they lie further apart, whoever walks through between two would be missed: awake."""
QUIET_S = 10.0
"""So long after the last sign of anything it goes to sleep; a person pausing is followed longer,
because the tracker keeps the camera awake."""
_BUSY_S = 2.0
"""So long after a sign of anything, sizes are not taken for idle ones."""
_SHARE = 0.8
"""Of the time between two coded pictures may be spent on the past, so that reading keeps pace."""

Taken = tuple[YuvPicture, int]
"""A picture, and when it was taken (monotonic ns)."""


class Sleeper:
    """Coded pictures of one stream in, pictures out; without `attention` it never sleeps."""

    def __init__(
        self, camera_id: str, decoder: Callable[[], Decoder], attention: Attention | None = None
    ) -> None:
        self._camera_id = camera_id
        self._new_decoder = decoder
        self._decoder: Decoder | None = decoder()
        self._attention = attention
        if attention:
            attention.decodes, attention.asleep, attention.after_ns = True, False, None
            attention.mode = "learning"
            attention.note()
        self._gate = PacketGate()
        self._kept = KeptUnits(round(LOOKBACK_S * _NS))
        self._todo: deque[AccessUnit] = deque()
        self._waiting: deque[Taken] = deque()
        self._catch_up: _CatchUp | None = None
        self._is_too_large = False  # to keep what a wake would need
        self._after_ns = 0  # pictures taken until then have been handed on
        self._slept_ns = self._looked_ns = self._departed_ns = self._pictured_ns = 0

    @property
    def asleep(self) -> bool:
        return self._decoder is None

    def feed(self, unit: AccessUnit) -> Iterator[Taken | None]:
        """What is to be looked at now that `unit` came; None: it lives, and has nothing to show."""
        if self._attention is None:
            assert self._decoder is not None
            yield from self._decoder.decode(unit.coded, unit.taken_ns)
            return
        attention = self._attention
        quiet = self.asleep or attention.quiet_s() >= _BUSY_S
        sign = self._gate.push(
            len(unit.coded), keyframe=unit.keyframe, t_ns=unit.taken_ns, quiet=quiet
        )
        self._kept.add(unit)
        if sign is Sign.WAKE and attention.mode == "keyframes":
            sign = Sign.NOTHING  # where sizes tell nothing they depart several times a minute
        if sign is Sign.WAKE:
            self._departed_ns = unit.taken_ns
        if unit.keyframe:
            self._choose_mode(attention)
        if self._decoder is None:
            yield None
            attention.after_ns = max(self._after_ns, unit.taken_ns - round(LOOKBACK_S * _NS))
            if unit.keyframe and self._look_is_due(unit, sign):
                yield from self._look(unit, attention)
            if not self._must_wake(sign, attention):
                return
            self._wake(unit, attention)
        else:
            self._todo.append(unit)
        handed = False
        for taken in self._go_on(attention):
            handed = True
            yield taken
        if self._todo and not handed:
            yield None  # nothing to show yet, and not damaged
        if self._may_sleep(unit, attention):
            self._sleep(unit, attention)

    def _choose_mode(self, attention: Attention) -> None:
        apart_s, tells = self._gate.keyframes_apart_s, self._gate.tells
        if tells is None or apart_s is None:
            attention.mode = "learning"
            return
        mode = "awake"
        if tells and apart_s <= _LONG_S and not self._is_too_large:
            mode = "sizes"
        elif not tells and apart_s <= _FAR_S and not self._is_too_large:
            mode = "keyframes" if attention.keyframes_will_do else "awake"
        if mode != attention.mode:
            level = logging.INFO if mode == "sizes" else logging.WARNING
            log.log(level, "camera %s: %s", self._camera_id, _SAID[mode])
        attention.mode = mode

    def _look_is_due(self, unit: AccessUnit, sign: Sign) -> bool:
        sparse = self._attention is not None and self._attention.mode == "keyframes"
        wait_s = SPARSE_S if sparse or sign is Sign.LOOK else HEARTBEAT_S
        return unit.taken_ns - self._looked_ns >= wait_s * _NS

    def _look(self, unit: AccessUnit, attention: Attention) -> Iterator[Taken]:
        """One keyframe; whoever it is handed to notes when it shows something new."""
        self._looked_ns = unit.taken_ns
        decoder = self._new_decoder()
        pictures = decoder.decode(unit.coded, unit.taken_ns) + decoder.flush()
        if not pictures:  # damaged: let it be found out with all that comes
            attention.note()
            return
        yield pictures[0]
        if attention.seen_ns <= self._slept_ns:
            self._after_ns = unit.taken_ns

    def _must_wake(self, sign: Sign, attention: Attention) -> bool:
        noted = attention.seen_ns > self._slept_ns
        if self._kept.size_bytes > KEPT_BYTES // 2:
            self._is_too_large = True  # or it would wake and sleep in turn
            attention.mode = "awake"
        return sign is Sign.WAKE or noted or attention.mode in ("awake", "learning")

    def _wake(self, unit: AccessUnit, attention: Attention) -> None:
        self._after_ns = max(self._after_ns, unit.taken_ns - round(LOOKBACK_S * _NS))
        self._decoder = self._new_decoder()
        self._todo = deque(self._kept.since(self._after_ns))
        self._catch_up = _CatchUp(attention)
        attention.after_ns = self._after_ns
        attention.asleep = False

    def _may_sleep(self, unit: AccessUnit, attention: Attention) -> bool:
        sleeps = attention.mode in ("sizes", "keyframes")
        if not sleeps or self._catch_up or attention.quiet_s() < QUIET_S:
            return False
        pictured = unit.taken_ns - self._pictured_ns < _BUSY_S * _NS  # else it is damaged
        return pictured and unit.taken_ns - self._departed_ns >= QUIET_S * _NS

    def _sleep(self, unit: AccessUnit, attention: Attention) -> None:
        self._decoder = None
        self._slept_ns = attention.now_ns()
        self._looked_ns = unit.taken_ns
        self._todo.clear()
        attention.asleep = True

    def _go_on(self, attention: Attention) -> Iterator[Taken]:
        """Decode what is there; in the past only as fast as it is looked at, and as there is time.

        The rest is for the next call, so that whoever reads the camera goes on reading.
        """
        until_ns = attention.now_ns() + round(_SHARE * self._gate.interval_s * _NS)
        while True:
            while self._waiting:
                taken_ns = self._waiting[0][1]
                if self._catch_up and not self._catch_up.may_pass(taken_ns, until_ns):
                    return
                picture = self._waiting.popleft()
                if self._catch_up and self._catch_up.must_skip(taken_ns):
                    continue
                self._after_ns = max(self._after_ns, taken_ns)
                attention.after_ns = self._after_ns if self._catch_up else None
                yield picture
            if not self._todo:
                self._catch_up = attention.after_ns = None
                return
            if self._catch_up and attention.now_ns() >= until_ns:
                if self._catch_up.is_overdue:
                    self._jump()
                return
            self._decode(self._todo.popleft())

    def _jump(self) -> None:
        """This machine decodes no faster than pictures come: on with the last keyframe."""
        last_ns = self._todo[-1].taken_ns
        self._decoder = self._new_decoder()
        self._todo = deque(self._kept.since(last_ns))
        self._catch_up = None

    def _decode(self, unit: AccessUnit) -> None:
        assert self._decoder is not None
        for picture, taken_ns in self._decoder.decode(unit.coded, unit.taken_ns):
            self._pictured_ns = taken_ns
            if taken_ns > self._after_ns or not self._catch_up:
                self._waiting.append((picture, taken_ns))


class _CatchUp:
    """How far behind the present what is handed on may lie: less and less.

    It begins as far behind as the first picture is and comes nearer half as fast as time passes;
    what a slow looker leaves behind this is skipped.
    """

    def __init__(self, attention: Attention) -> None:
        self._attention = attention
        self._began: tuple[int, int] | None = None  # when, and how far behind

    @property
    def is_overdue(self) -> bool:
        """Whether the present should have been reached long ago."""
        if self._began is None:
            return False
        began_ns, behind_ns = self._began
        return self._attention.now_ns() - began_ns > 4 * behind_ns

    def must_skip(self, taken_ns: int) -> bool:
        now_ns = self._attention.now_ns()
        if self._began is None:
            self._began = now_ns, now_ns - taken_ns
        began_ns, behind_ns = self._began
        late = now_ns - taken_ns > behind_ns - (now_ns - began_ns) // 2
        return late and not self._attention.room(0.0)

    def may_pass(self, taken_ns: int, until_ns: int) -> bool:
        """Whether it is the turn of this picture, to be looked at or skipped."""
        left_s = max(0.0, (until_ns - self._attention.now_ns()) / _NS)
        return self._attention.room(left_s) or self.must_skip(taken_ns)


_SAID = {
    "sizes": "sleeps while the sizes of its coded pictures stay as they are",
    "keyframes": "the sizes of its coded pictures tell nothing (CBR, or much noise): looks at"
    " keyframes while idle; set it to VBR",
    "awake": "decodes all: the sizes of its pictures tell nothing (CBR, or much noise), or its"
    " keyframes lie too far apart; set it to VBR, and to a keyframe every 1 to 2 s",
}
