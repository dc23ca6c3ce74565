"""A dead sensor behind a living encoder is found; a quiet street is not taken for one."""

import itertools
from datetime import datetime, timezone
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from agent.capture.decoding import Decoder
from agent.capture.frames import FrameMaker
from agent.capture.pictures import RgbPicture
from agent.capture.synthetic import SyntheticSource
from agent.capture.watch import FrozenWatch
from agent.clock import ManualClock
from agent.errors import CaptureError

FPS = 1  # the watch looks once a second
SECONDS = 120
SIZE = (320, 180)
CAMERAS = [
    pytest.param(None, id="raw"),
    pytest.param({"preset": "ultrafast", "b": "60k"}, id="60k"),
    pytest.param({"preset": "ultrafast", "b": "300k"}, id="300k"),
    pytest.param({"preset": "ultrafast", "crf": "35"}, id="crf35"),
    pytest.param({"preset": "medium", "b": "150k"}, id="medium"),
]
"""How a camera encodes: each treats a still picture and its noise in its own way."""


def street(contrast=60, grain=2):
    """A textured street that stands still."""
    rng = np.random.default_rng(0)
    pixels = np.full((SIZE[1], SIZE[0], 3), 140.0)
    pixels[80:] = 85
    pixels += cv2.GaussianBlur(rng.normal(0, contrast, pixels.shape), (0, 0), grain)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def with_clock(pixels, at_s):
    ticking = pixels.copy()
    words = datetime.fromtimestamp(1_764_000_000 + at_s, tz=timezone.utc)
    place, font = (6, 14), cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(ticking, f"{words:%Y-%m-%d %H:%M:%S}", place, font, 0.35, (255, 255, 255), 1)
    return ticking


def noisy(pixels, sigma, seed):
    noise = np.random.default_rng(seed).standard_normal((SIZE[1] + 20, SIZE[0], 1))
    while True:
        noise = np.roll(noise, (29, 101), axis=(0, 1))
        yield np.clip(pixels + sigma * noise[: SIZE[1]], 0, 255).astype(np.uint8)


def with_passer_by(pixels, at_s, *, width=9, height=27, crossing_s=40):
    walked = pixels.copy()
    x = round((at_s % crossing_s / crossing_s * 1.2 - 0.1) * SIZE[0])  # from outside to outside
    walked[65 : 65 + height, max(0, x) : max(0, x + width)] = (40, 60, 90)
    return walked


def watched(pictures, camera):
    """When the watch calls it frozen (s), None when it never does."""
    maker = FrameMaker("c", ManualClock())
    seen = _decoded(pictures, camera) if camera else map(RgbPicture, pictures)
    return frozen_at(maker.media(picture, number / FPS) for number, picture in enumerate(seen))


def frozen_at(frames):
    watch = FrozenWatch()
    for number, frame in enumerate(itertools.islice(frames, SECONDS * FPS)):
        try:
            watch.look(frame)
        except CaptureError as error:
            assert error.why == "frozen"
            return number / FPS
    return None


def _decoded(pictures, options):
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = SIZE
    encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", Fraction(1, FPS), FPS
    encoder.thread_count = 1
    encoder.options = {"tune": "zerolatency", "g": str(4 * FPS), **options}
    decoder = Decoder("h264")
    for number, pixels in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts = number
        for packet in encoder.encode(frame):
            for picture, _ in decoder.decode(bytes(packet), 0):
                yield picture


@pytest.mark.parametrize("camera", CAMERAS)
def test_frozen_picture_under_a_ticking_clock_is_found(camera):
    still = street()
    held = (with_clock(still, number / FPS) for number in itertools.count())
    # An encoder needs some keyframes to settle on what it shows.
    assert 60 <= watched(held, camera) <= 120


@pytest.mark.parametrize("camera", CAMERAS[2:])  # 60 kbit/s of it never settle
def test_frozen_picture_of_much_detail_is_found(camera):
    still = street(contrast=200, grain=1)
    held = (with_clock(still, number / FPS) for number in itertools.count())
    assert 60 <= watched(held, camera) < SECONDS


def test_frozen_picture_with_stray_samples_is_found():
    def strays():
        rng = np.random.default_rng(0)
        while True:
            pixels = street()
            rows, columns = rng.integers(0, SIZE[1], 10), rng.integers(0, SIZE[0], 10)
            pixels[rows, columns] ^= 32
            yield pixels

    assert watched(strays(), None) == 60


def test_frozen_picture_without_a_clock_is_found_after_a_minute():
    assert watched(itertools.repeat(street()), None) == 60


@pytest.mark.parametrize("sigma", [2, 8])
@pytest.mark.parametrize("camera", CAMERAS)
def test_still_night_with_sensor_noise_is_not_frozen(camera, sigma):
    night = street() // 3 + 20
    assert watched(noisy(night, sigma, seed=sigma), camera) is None


@pytest.mark.parametrize("camera", CAMERAS)
def test_passer_by_in_a_still_scene_is_not_frozen(camera):
    still = street()
    walked = (with_passer_by(still, number / FPS) for number in itertools.count())
    assert watched(walked, camera) is None


def test_far_passer_by_smaller_than_a_clock_is_not_frozen():
    still = street()
    walked = (with_passer_by(still, n / FPS, width=6, height=13) for n in itertools.count())
    assert watched(walked, None) is None


def test_day_that_fades_is_not_frozen():
    still = street()
    fading = (np.uint8(still * (1 - 0.3 * n / FPS / SECONDS)) for n in itertools.count())
    assert watched(fading, None) is None


def test_picture_that_lived_until_now_gets_its_whole_minute():
    still = street()
    lives = itertools.islice(noisy(still, 4, seed=1), 50 * FPS)
    assert 109 <= watched(itertools.chain(lives, itertools.repeat(still)), None) <= 111


def test_picture_of_another_size_begins_anew():
    still = street()
    pictures = [RgbPicture(still)] * 50 + [RgbPicture(still[:90])] * 50
    maker, watch = FrameMaker("c", ManualClock()), FrozenWatch(60)
    for at_s, picture in enumerate(pictures):
        watch.look(maker.media(picture, at_s))


@pytest.mark.parametrize(
    ("scene", "frozen"),
    [
        ("parked?fps=1&noise=0&clock=1", True),
        ("blank?fps=1&noise=0&clock=1", True),
        ("parked?fps=1&noise=2&clock=1", False),
        ("blank?fps=1&noise=2", False),
        ("street?fps=1&noise=0&clock=1", False),
    ],
)
def test_drawn_scene_is_frozen_only_without_noise_and_movement(scene, frozen):
    source = SyntheticSource("c", scene, ManualClock(), realtime=False)
    assert (frozen_at(source.frames()) is not None) == frozen


def test_few_looks_in_minutes_that_are_alike_are_no_reason_to_wake():
    watch, maker = FrozenWatch(), FrameMaker("gate", ManualClock())
    doubts = []
    for minute in range(10):
        watch.look(maker.media(RgbPicture(street()), minute * 60.0))
        doubts.append(watch.doubtful)
        for second in range(1, 60):
            watch.live_on((minute * 60 + second) * 10**9)
    assert doubts == [False] * 5 + [True] * 5
