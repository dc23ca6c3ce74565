"""The gate over packets: sizes as encoders make them, and what they must and must not mean."""

import random

import pytest

from agent.capture.gate import PacketGate, Sign

FPS = 25
KEYFRAME = 80_000


class Stream:
    """A VBR camera's sizes: they swell after each keyframe and sink again, with some scatter."""

    def __init__(self, *, idle=90, scatter=0.2, gop_s=2.0, fps=FPS, clock=False, keyframe=KEYFRAME):
        self.rng = random.Random(1)
        self.idle, self.scatter, self.fps, self.clock = idle, scatter, fps, clock
        self.gop, self.settles = round(gop_s * fps), 40
        self.keyframe = keyframe
        self.number = 0

    def play(self, gate, seconds, *, more=0, quiet=True, factor=1.0):
        """Pushes so many seconds; the signs other than NOTHING, with their times in seconds."""
        signs = []
        for _ in range(round(seconds * self.fps)):
            at, phase = self.number / self.fps, self.number % self.gop
            if phase:
                swell = 1 + min(phase, 8) / 8 * max(0.0, 1 - phase / self.settles)
                size = self.idle * swell * self.rng.gauss(1, self.scatter) * factor + more
                if self.clock and self.number % self.fps < 2:  # the tick, and what refines it
                    size += 900 >> (self.number % self.fps)
            else:
                size = self.keyframe * factor * self.rng.gauss(1, 0.001)
            sign = gate.push(
                max(20, round(size)), keyframe=phase == 0, t_ns=round(at * 1e9), quiet=quiet
            )
            if sign is not Sign.NOTHING:
                signs.append((sign, at))
            self.number += 1
        return signs


def wakes(signs):
    return [at for sign, at in signs if sign is Sign.WAKE]


@pytest.mark.parametrize("clock", [False, True], ids=["plain", "clock"])
@pytest.mark.parametrize("gop_s", [1, 2, 4, 10])
def test_gate_idle_for_an_hour_wakes_hardly_ever_and_tells(gop_s, clock):
    gate, stream = PacketGate(), Stream(gop_s=gop_s, clock=clock)
    assert len(wakes(stream.play(gate, 3600))) <= 2  # of 7200 blocks
    assert gate.tells is True


def test_gate_of_pictures_that_are_refined_for_long_wakes_hardly_ever():
    gate, stream = PacketGate(), Stream(gop_s=10)
    stream.settles = 4 * FPS
    assert len(wakes(stream.play(gate, 3600))) <= 2


@pytest.mark.parametrize("clock", [False, True], ids=["plain", "clock"])
@pytest.mark.parametrize("gop_s", [1, 2, 4, 10])
def test_gate_wakes_within_a_second_and_a_half_of_a_passer(gop_s, clock):
    gate, stream = PacketGate(), Stream(gop_s=gop_s, clock=clock)
    stream.play(gate, 120.4)
    signs = wakes(stream.play(gate, 3, more=90))
    assert signs
    assert signs[0] - 120.4 <= 1.5


@pytest.mark.parametrize("fps", [6, 10, 15, 30])
def test_gate_of_another_frame_rate_wakes_within_its_blocks(fps):
    gate, stream = PacketGate(), Stream(fps=fps, gop_s=4)
    stream.play(gate, 120)
    assert wakes(stream.play(gate, 8, more=200))


def test_gate_asks_for_a_look_after_one_block_that_is_a_little_off():
    gate, stream = PacketGate(), Stream()
    stream.play(gate, 120)
    signs = stream.play(gate, 0.5, more=60) + stream.play(gate, 3)
    assert signs == [(Sign.LOOK, 122.0)]


def test_gate_wakes_when_a_second_block_is_a_little_off():
    gate, stream = PacketGate(), Stream()
    stream.play(gate, 120)
    assert wakes(stream.play(gate, 1, more=60)) == [120.96]


def test_gate_wakes_when_sizes_fall_because_the_lens_is_covered():
    gate, stream = PacketGate(), Stream(idle=150)
    stream.play(gate, 120)
    assert wakes(stream.play(gate, 3, factor=0.1))


def test_gate_does_not_judge_before_it_knows_what_is_usual():
    gate, stream = PacketGate(), Stream()
    assert stream.play(gate, 6) == []
    assert gate.tells is None


def test_gate_learns_nothing_from_a_busy_street():
    gate, stream = PacketGate(), Stream()
    stream.play(gate, 300, more=300, quiet=False)
    assert gate.tells is None
    stream.play(gate, 60)
    assert gate.tells is True
    assert wakes(stream.play(gate, 3, more=300, quiet=False))


def test_gate_takes_rain_for_usual_after_a_minute_or_two():
    gate, stream = PacketGate(), Stream()
    stream.play(gate, 120)
    assert wakes(stream.play(gate, 180, factor=1.6))
    assert wakes(stream.play(gate, 120, factor=1.6)) == []


def test_gate_knows_a_constant_bit_rate_by_sizes_that_tell_nothing():
    gate = PacketGate()
    cbr = Stream(idle=7000, scatter=0.05, keyframe=60_000)
    stream_signs = cbr.play(gate, 120)
    assert gate.tells is False
    assert wakes(stream_signs) == []
    assert gate.keyframes_apart_s == pytest.approx(2.0)


def test_gate_knows_coded_noise_by_sizes_that_tell_nothing():
    gate = PacketGate()
    Stream(idle=2500, scatter=0.15, keyframe=70_000).play(gate, 120)
    assert gate.tells is False


def test_gate_trusts_a_camera_again_that_was_set_to_vbr():
    gate = PacketGate()
    Stream(idle=7000, scatter=0.05, keyframe=60_000).play(gate, 120)
    vbr = Stream()
    vbr.number = 120 * FPS
    vbr.play(gate, 700)
    assert gate.tells is True


def test_gate_of_groups_shorter_than_a_block_gives_up():
    gate = PacketGate()
    Stream(fps=5, gop_s=1).play(gate, 90)
    assert gate.tells is False
    assert gate.keyframes_apart_s == pytest.approx(1.0)


def test_gate_of_keyframes_only_gives_up():
    gate = PacketGate()
    Stream(fps=10, gop_s=0.1).play(gate, 90)
    assert gate.tells is False


def test_gate_asks_to_look_at_a_keyframe_unlike_those_before():
    gate, stream = PacketGate(), Stream()
    stream.play(gate, 120)
    stream.keyframe = round(KEYFRAME * 1.05)
    assert (Sign.LOOK, 120.0) in stream.play(gate, 2)


def test_gate_knows_keyframes_that_rate_control_moves_between_two_sizes():
    gate, stream, looks = PacketGate(), Stream(), []
    for group in range(300):
        stream.keyframe = round(KEYFRAME * (0.978 if group % 4 == 3 else 1))
        looks += [at for sign, at in stream.play(gate, 2) if sign is Sign.LOOK]
    assert len(looks) <= 2


def test_gate_of_packets_that_come_in_bursts_judges_by_their_number():
    gate, stream = PacketGate(), Stream()
    plain = gate.push

    def bursty(size, *, keyframe, t_ns, quiet):
        return plain(size, keyframe=keyframe, t_ns=t_ns // 10**9 * 10**9, quiet=quiet)

    gate.push = bursty
    assert wakes(stream.play(gate, 600)) == []
    assert gate.tells is True
