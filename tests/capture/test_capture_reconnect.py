"""A camera that breaks is tried again, ever more seldom, and says so once."""

import itertools
import logging
import threading
import time

import pytest
from drawn import drawn_clip
from fake_source import FakeCamera, noisy_picture

from agent.capture.capture import Capture
from agent.capture.credentials import AuthenticationError
from agent.clock import ManualClock, SystemClock
from agent.config.model import CameraConfig
from agent.errors import CaptureError

CAMERA = CameraConfig(camera_id="gate", roles=("face",), source="rtsp://10.0.0.21/1")
AWAY = CaptureError("10.0.0.21:554: no answer", why="unreachable")


@pytest.fixture
def played():
    """A capture of a scripted camera, in manual time: it never sleeps."""

    def play(*scripts, rng=lambda: 0.5, progress=lambda capture: None):
        clock = ManualClock(utc_ms=1_764_000_000_000)
        stop = threading.Event()
        camera = FakeCamera(clock, *scripts, over=stop.set)
        camera.stop, camera.beats_s = stop, []

        def beat():
            camera.beats_s.append(clock.now().mono_ns / 1e9)
            progress(camera)

        camera.capture = Capture(
            CAMERA, clock, progress=beat, opener=camera, wait=clock.advance, rng=rng
        )
        return camera

    return play


def run(camera):
    camera.capture.run(camera.stop)
    return camera


def gaps(numbers):
    return [round(after - before, 3) for before, after in itertools.pairwise(numbers)]


def lines(caplog, level=logging.INFO):
    return [line.getMessage() for line in caplog.records if line.levelno >= level]


def test_camera_away_is_tried_ever_more_seldom_up_to_a_minute(played):
    camera = run(played(*[AWAY] * 9))
    assert gaps(camera.opened_s) == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize(("drawn", "share"), [(0.0, 0.75), (1.0, 1.25)])
def test_waits_are_spread_by_a_quarter(played, drawn, share):
    camera = run(played(*[AWAY] * 4, rng=lambda: drawn))
    assert gaps(camera.opened_s) == [share, 2 * share, 4 * share, 8 * share]


def test_camera_that_ran_a_minute_is_tried_soon_again(played):
    camera = run(played(AWAY, AWAY, AWAY, [60], AWAY))
    assert gaps(camera.opened_s)[3:] == [60 + 1, 2]


def test_camera_that_breaks_at_once_each_time_is_left_alone_longer(played):
    camera = run(played(*[[1, AWAY]] * 4))
    assert gaps(camera.opened_s) == [1 + 1, 1 + 2, 1 + 4, 1 + 8]


def test_wrong_password_is_tried_again_after_more_than_a_minute(played):
    wrong = AuthenticationError("the camera refuses the user or password in `auth`")
    camera = run(played(wrong, wrong, wrong, rng=lambda: 0.0))
    assert all(gap >= 60 for gap in gaps(camera.opened_s))


def test_stream_that_ends_is_opened_again(played):
    camera = run(played([1], [1]))
    assert len(camera.opened_s) == 3
    assert camera.closed == 3  # every source was let go of
    assert camera.capture.state.why == "ended"


def test_each_change_of_state_is_one_log_line(played, caplog):
    caplog.set_level(logging.INFO)
    run(played(*[AWAY] * 5, [2, AWAY], *[AWAY] * 5, [2, CaptureError("no picture for 10 s")]))
    assert lines(caplog) == [
        "camera gate: 10.0.0.21:554: no answer; trying again",
        "camera gate: connected",
        "camera gate: 10.0.0.21:554: no answer; trying again",
        "camera gate: connected",
        "camera gate: no picture for 10 s; trying again",
    ]


def test_another_reason_while_away_is_said_too(played, caplog):
    refused = CaptureError("10.0.0.21:554: Connection refused", why="unreachable")
    run(played(AWAY, AWAY, refused, refused))
    assert len(lines(caplog, logging.WARNING)) == 2


def test_wait_reports_progress_at_least_once_a_second(played):
    camera = run(played(*[AWAY] * 8))
    assert max(gaps(camera.beats_s)) <= 1.0


def test_progress_is_reported_with_each_frame(played):
    camera = run(played([3]))
    assert camera.beats_s[:30] == pytest.approx([0.1 * n for n in range(1, 31)])


def test_state_before_the_first_frame_is_connecting(played):
    state = played().capture.state
    assert (state.connected, state.last_frame_mono_ns, state.fps) == (False, None, 0.0)
    assert state.why == "connecting"


def test_state_while_frames_come_is_connected_with_their_rate(played):
    states = []
    run(played([6], progress=lambda camera: states.append(camera.capture.state)))
    at_the_last_frame = states[59]
    assert at_the_last_frame.connected
    assert at_the_last_frame.fps == pytest.approx(10)
    assert at_the_last_frame.last_frame_mono_ns == pytest.approx(6e9)
    assert at_the_last_frame.error is None


def test_rate_after_a_loss_is_of_the_new_frames_alone(played):
    rates = []
    run(played([6, AWAY], [2], progress=lambda camera: rates.append(camera.capture.state.fps)))
    assert max(rates[-3:]) == pytest.approx(10)


def test_state_of_a_lost_camera_says_why_and_since_when(played):
    state = run(played([3, AWAY], AWAY, AWAY)).capture.state
    assert not state.connected
    assert (state.error, state.why) == ("10.0.0.21:554: no answer", "unreachable")
    assert state.fps == 0
    assert state.since_mono_ns == pytest.approx(3e9)  # not the last try, the loss


def test_rate_of_a_camera_that_sends_nothing_falls_to_nought(played):
    camera = run(
        played([6], progress=lambda camera: len(camera.beats_s) == 50 and camera.stop.set())
    )
    assert camera.capture.state.fps == pytest.approx(10)
    camera.clock.advance(6)
    assert camera.capture.state.fps == 0


def test_frozen_picture_is_a_loss_of_its_own_kind(played, caplog):
    camera = run(played([noisy_picture()]))
    assert camera.opened_s[1] == pytest.approx(61, abs=2)
    (line,) = lines(caplog, logging.WARNING)
    assert "frozen picture" in line
    assert camera.capture.state.why == "frozen"


def test_mailbox_holds_the_newest_frame(played):
    camera = run(played([2]))
    assert camera.capture.mailbox.take(0).seq == 20
    assert camera.capture.mailbox.drops == 19


def in_thread(capture):
    thread = threading.Thread(target=capture.run, args=(threading.Event(),))
    thread.start()
    return thread


def test_close_while_waiting_to_reconnect_wakes_it():
    tried = threading.Event()

    def opener(camera, clock):
        tried.set()
        raise AuthenticationError("refused")

    capture = Capture(CAMERA, SystemClock(), progress=lambda: None, opener=opener)
    thread = in_thread(capture)
    assert tried.wait(5)
    started_s = time.monotonic()
    capture.close()
    thread.join(5)
    assert not thread.is_alive()
    assert time.monotonic() - started_s < 0.5


def test_close_while_reading_ends_without_an_error(tmp_path, caplog):
    clip = drawn_clip(tmp_path / "slow.mkv", count=3, rate=1)
    camera = CameraConfig(camera_id="gate", roles=("face",), source=f"clip:{clip}")
    capture = Capture(camera, SystemClock(), progress=lambda: None)
    thread = in_thread(capture)
    assert capture.mailbox.take(30).seq == 1
    started_s = time.monotonic()
    capture.close()
    thread.join(5)
    assert not thread.is_alive()
    assert time.monotonic() - started_s < 0.5
    assert not lines(caplog, logging.WARNING)


def test_close_while_opening_lets_go_of_what_was_opened(played):
    camera = FakeCamera(ManualClock(), [5])

    def slow(config, clock):
        source = camera(config, clock)
        capture.close()  # as another thread might, just now
        return source

    capture = Capture(CAMERA, camera.clock, progress=lambda: None, opener=slow)
    capture.run(threading.Event())
    assert camera.closed >= 1
    assert capture.mailbox.take(0) is None


def test_stop_ends_the_run_at_the_next_frame(played):
    camera = run(played([5], progress=lambda camera: camera.stop.set()))
    assert camera.capture.mailbox.take(0).seq == 1
    assert camera.closed == 1


def test_stop_while_waiting_ends_the_run_without_another_try(played):
    camera = run(played(*[AWAY] * 9, progress=lambda camera: camera.stop.set()))
    assert len(camera.opened_s) == 1


def test_bug_in_a_source_is_left_to_the_supervisor_with_the_source_closed(played):
    camera = played([1, RuntimeError("bug")])
    with pytest.raises(RuntimeError):
        run(camera)
    assert camera.closed == 1
