"""A stream at rest is hardly decoded; whoever walks through is seen from the first picture on."""

import itertools

import pytest
from idle_street import NS, Street, coded

from agent.capture.attention import Attention
from agent.capture.decoding import Decoder
from agent.capture.sleeper import HEARTBEAT_S, LOOKBACK_S, SPARSE_S, Sleeper
from agent.capture.stillness import Stillness

QUALITY = {"libx264": 24, "libx265": 28}


class CountedDecoder(Decoder):
    opened = 0
    units = 0

    def __init__(self, codec):
        super().__init__(codec)
        CountedDecoder.opened += 1

    def decode(self, unit, taken_ns):
        CountedDecoder.units += 1
        return super().decode(unit, taken_ns)


class Looker:
    """Feeds a sleeper in the time of its units, and looks as `Capture` does."""

    def __init__(self, codec="libx264", *, room=lambda seconds: True, **attention):
        CountedDecoder.opened = CountedDecoder.units = 0
        self.now_ns = 0
        self.attention = Attention(room=room, now_ns=lambda: self.now_ns, **attention)
        name = "h264" if codec == "libx264" else "hevc"
        self.sleeper = Sleeper("gate", lambda: CountedDecoder(name), self.attention)
        self.stillness = Stillness()
        self.seen_s, self.looks_s, self.slept_s, self.late_s = [], [], [], []

    def watch(self, units):
        for unit in units:
            self.now_ns = max(self.now_ns, unit.taken_ns)
            for taken in self.sleeper.feed(unit):
                self._look(taken)
            if self.attention.asleep:
                self.slept_s.append(unit.taken_ns / NS)
        return self

    def _look(self, taken):
        if taken is None:
            return
        picture, taken_ns = taken
        asleep = self.attention.asleep
        if not self.stillness.look(picture, taken_ns, found=False):
            self.attention.note()
        if asleep:
            self.looks_s.append(taken_ns / NS)
        else:
            self.seen_s.append(taken_ns / NS)
            self.late_s.append((self.now_ns - taken_ns) / NS)


def units_of(street, seconds, codec="libx264", **how):
    how.setdefault("quality", QUALITY[codec])
    return coded(street.pictures(seconds), street.size, fps=street.fps, codec=codec, **how)


@pytest.fixture(scope="module")
def at_rest():
    return list(units_of(Street(noise=0.4), 150))


def test_sleeper_at_rest_frees_the_decoder_and_looks_once_a_minute(at_rest):
    looker = Looker().watch(at_rest)
    assert looker.attention.mode == "sizes"
    assert looker.sleeper.asleep
    first_s = looker.slept_s[0]
    assert first_s < 40
    assert len(looker.slept_s) == sum(unit.taken_ns >= first_s * NS for unit in at_rest)
    gaps_s = [after - before for before, after in itertools.pairwise([first_s, *looker.looks_s])]
    assert all(HEARTBEAT_S <= gap_s <= HEARTBEAT_S + 2 for gap_s in gaps_s)
    assert CountedDecoder.units <= first_s * 10 + 1 + len(looker.looks_s)


def test_sleeper_without_attention_decodes_everything(at_rest):
    sleeper = Sleeper("gate", lambda: Decoder("h264"))
    assert len([taken for unit in at_rest[:50] for taken in sleeper.feed(unit)]) == 50


@pytest.mark.parametrize("clock", [False, True], ids=["plain", "clock"])
@pytest.mark.parametrize(
    ("codec", "how", "mode"),
    [
        ("libx264", {}, "sizes"),
        ("libx264", {"gop_s": 5}, "sizes"),
        ("libx264", {"gop_s": 10}, "sizes"),
        ("libx265", {"gop_s": 4}, "sizes"),
        ("libx264", {"kbits": 400}, "keyframes"),
        ("libx264", {"kbits": 400, "gop_s": 1}, "keyframes"),
    ],
)
def test_passer_after_a_long_rest_is_seen_whole(codec, how, mode, clock):
    street = Street((480, 270), noise=0.4, passers=[(100, 45, 0.12)], clock=clock)
    looker = Looker(codec).watch(units_of(street, 115, codec, **how))
    assert looker.attention.mode == mode
    assert any(90 < slept_s < 100 for slept_s in looker.slept_s)
    seen = [seen_s for seen_s in looker.seen_s if street.there(seen_s)]
    there = [number / 10 for number in range(1150) if street.there(number / 10)]
    assert seen[0] - there[0] <= 0.5  # by then the tip of a shoe is in the picture
    assert seen == [at_s for at_s in there if at_s >= seen[0]]  # each once, and in order


def test_passer_wakes_a_sleeper_that_goes_to_sleep_again():
    street = Street((480, 270), noise=0.4, passers=[(60, 45, 0.2)])
    looker = Looker().watch(units_of(street, 110))
    assert any(50 < slept_s < 60 for slept_s in looker.slept_s)
    assert not any(62 < slept_s < 70 for slept_s in looker.slept_s)
    assert looker.sleeper.asleep


def test_sleeper_in_keyframe_mode_looks_at_one_of_every_second(at_rest):
    street = Street((480, 270), noise=0.4)
    looker = Looker().watch(units_of(street, 70, kbits=400, gop_s=1))
    assert looker.attention.mode == "keyframes"
    gaps_s = [after - before for before, after in itertools.pairwise(looker.looks_s)]
    assert gaps_s
    assert all(SPARSE_S <= gap_s <= LOOKBACK_S for gap_s in gaps_s)


def test_sleeper_in_keyframe_mode_is_not_woken_by_sizes_that_tell_nothing():
    units = list(units_of(Street((480, 270), noise=0.4), 70, kbits=400, gop_s=1))
    looker = Looker().watch(units[:600])
    assert looker.sleeper.asleep
    filler = b"\0\0\0\1\x0c" + b"\xff" * 20_000 + b"\x80"  # a NAL unit that shows nothing
    for unit in units[600:]:
        coded = unit.coded + filler
        looker.watch([type(unit)(coded=coded, keyframe=unit.keyframe, taken_ns=unit.taken_ns)])
    assert looker.attention.mode == "keyframes"
    assert looker.slept_s[-1] == units[-1].taken_ns / NS


def test_sleeper_of_vehicles_does_not_rely_on_keyframes():
    looker = Looker(keyframes_will_do=False)
    looker.watch(units_of(Street((480, 270), noise=0.4), 70, kbits=400, gop_s=1))
    assert looker.attention.mode == "awake"
    assert looker.slept_s == []


def test_sleeper_of_rare_keyframes_whose_sizes_tell_nothing_stays_awake(caplog):
    caplog.set_level("WARNING")
    looker = Looker().watch(units_of(Street((480, 270)), 110, kbits=400, gop_s=5))
    assert looker.attention.mode == "awake"
    assert looker.slept_s == []
    (line,) = caplog.messages
    assert "set it to VBR" in line


def test_sleeper_that_is_told_of_something_wakes(at_rest):
    looker = Looker().watch(at_rest[:800])
    assert looker.sleeper.asleep
    looker.now_ns += 1
    looker.attention.note()
    looker.watch(at_rest[800:805])
    assert not looker.sleeper.asleep
    assert looker.seen_s[-1] == 80.4


def test_sleeper_that_is_followed_does_not_fall_asleep(at_rest):
    looker = Looker()
    for unit in at_rest[:700]:
        looker.now_ns = unit.taken_ns
        looker.attention.note()
        looker.watch([unit])
    assert looker.slept_s == []


def test_slow_looker_is_brought_back_to_the_present():
    """One that takes a frame only every 0.3 s, of a camera that gives ten a second."""
    taken_ns = [0]

    def room(seconds):
        if looker.now_ns - taken_ns[0] < 0.3 * NS:
            return False
        taken_ns[0] = looker.now_ns
        return True

    looker = Looker(room=room)
    street = Street((480, 270), noise=0.4, passers=[(60, 45, 0.1)])
    looker.watch(units_of(street, 72))
    woken = [late_s for seen_s, late_s in zip(looker.seen_s, looker.late_s) if seen_s > 58]  # noqa: B905
    assert woken[0] >= 2
    assert woken[-1] == 0
    assert all(after <= before + 0.1 for before, after in itertools.pairwise(woken))


def test_sleeper_that_wakes_hands_on_no_picture_twice_and_none_of_before(at_rest):
    looker = Looker().watch(at_rest[:900])
    before_s = looker.seen_s[-1]
    looker.now_ns += 1
    looker.attention.note()
    looker.watch(at_rest[900:950])
    again = [seen_s for seen_s in looker.seen_s if seen_s > before_s]
    assert looker.seen_s == sorted(set(looker.seen_s))
    assert again[0] == pytest.approx(90.0 - LOOKBACK_S + 0.1)
    assert again[-1] == 94.9


def test_damaged_keyframe_wakes_the_sleeper(at_rest):
    looker = Looker().watch(at_rest[:600])
    assert looker.sleeper.asleep
    looker.now_ns += 1
    for unit in at_rest[600:1200]:
        broken = unit.coded[:4] + bytes(len(unit.coded) - 4)
        looker.watch([type(unit)(coded=broken, keyframe=unit.keyframe, taken_ns=unit.taken_ns)])
    assert not looker.sleeper.asleep
