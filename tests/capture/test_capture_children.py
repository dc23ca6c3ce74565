"""Cameras behind a child process: GStreamer's launcher and the Pi camera's own Python."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from watching import open_files, running, wait_until

from agent.capture.capture import Capture
from agent.capture.child import FrameChild
from agent.capture.frames import Patience
from agent.capture.gst import GstSource
from agent.capture.picamera import PicameraSource
from agent.clock import SystemClock
from agent.config.model import CameraConfig
from agent.errors import CaptureError
from agent.records import WHOLE

HASTY = Patience(open_s=0.5, picture_s=0.5)
SIMULATORS = Path(__file__).parents[1] / "simulators"
BARS = "videotestsrc pattern=smpte75 ! video/x-raw,width=320,height=240,framerate=25/1"


def children():
    """Living children of this process, but for the test's own helpers."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() and state != "Z":
                found[int(entry.name)] = (entry / "cmdline").read_bytes()
        except OSError:
            continue
    return found


@pytest.fixture(autouse=True)
def no_child_survives():
    before = children()
    yield
    assert {pid: words for pid, words in children().items() if pid not in before} == {}


@pytest.fixture
def gst():
    """Opens pipelines and closes them; skips where there is no gst-launch-1.0."""
    if not shutil.which("gst-launch-1.0"):
        pytest.skip("no gst-launch-1.0: install gstreamer1.0-tools gstreamer1.0-plugins-base")
    opened = []

    def open_pipeline(pipeline, patience=None):
        opened.append(GstSource("c", pipeline, SystemClock(), patience or Patience(open_s=10)))
        return opened[-1]

    yield open_pipeline
    for source in opened:
        source.close()


@pytest.fixture
def launcher(tmp_path, monkeypatch):
    """Puts a gst-launch-1.0 of our own making first in the path; `pipe` is where it writes to."""

    def install(body):
        path = tmp_path / "gst-launch-1.0"
        head = f"#!{sys.executable}\nimport os, signal, sys, time\n"
        head += 'pipe = int(sys.argv[-1].removeprefix("fd="))\n'
        head += "def picture(): os.write(pipe, b'FRAME\\n' + bytes(16 * 8 * 3 // 2))\n"
        head += "def header(text=b'YUV4MPEG2 W16 H8 F25:1'): os.write(pipe, text + b'\\n')\n"
        path.write_text(head + textwrap.dedent(body))
        path.chmod(0o700)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return GstSource("c", "anything", SystemClock(), HASTY)

    return install


def let_go(source):
    """Closed before it was read, as a capture does it that is closed while it opens."""
    source.close()
    with pytest.raises(CaptureError, match="closed"):
        next(source.frames())


def failure(source):
    """What reading it to its end comes to."""
    started_s = time.monotonic()
    with pytest.raises(CaptureError) as caught:
        for _ in source.frames():
            pass
    assert time.monotonic() - started_s < 5
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    return str(caught.value)


def test_pipeline_gives_its_pictures(gst):
    source = gst(BARS)
    frames = list(itertools.islice(source.frames(), 10))
    assert [frame.seq for frame in frames] == list(range(1, 11))
    picture = frames[-1].picture
    assert (picture.width_px, picture.height_px) == (320, 240)
    bars = picture.rgb(WHOLE, 7, 1)[0].astype(int)
    assert bars[5][0] > bars[5][2] + 60  # red
    assert bars[6][2] > bars[6][0] + 60  # blue
    assert frames[0].t_mono_ns < frames[-1].t_mono_ns <= time.monotonic_ns()


def test_pipeline_that_ends_is_a_capture_error(gst):
    source = gst(BARS.replace("smpte75", "smpte75 num-buffers=5"))
    frames = source.frames()
    assert len(list(itertools.islice(frames, 5))) == 5
    with pytest.raises(CaptureError):
        next(frames)


@pytest.mark.parametrize(
    ("pipeline", "words"),
    [
        ("nosuchelement ! video/x-raw", "nosuchelement"),
        ("filesrc location=/nonexistent/x ! decodebin", "Resource not found"),
        ("videotestsrc ! video/x-raw,width=322,height=240", "multiple of 8"),
        ("videotestsrc ! video/x-raw,width=320,height=241", "height even"),
        ("videotestsrc ! video/x-raw,width=4104,height=240", "4096 x 2304"),
        ("audiotestsrc", "gst:"),
        ("videotestsrc !", "gst:"),
    ],
)
def test_pipeline_that_is_none_says_why_in_one_line(gst, pipeline, words):
    assert words in failure(gst(pipeline))


def test_pipeline_without_pictures_is_given_up(gst):
    source = gst("videotestsrc is-live=true ! valve drop=true", HASTY)
    assert failure(source) == "gst: no picture for 0 s"


def test_close_wakes_a_reader_and_ends_the_child(gst):
    source = gst("videotestsrc is-live=true ! valve drop=true", Patience(open_s=30))
    errors = []

    def read():
        try:
            next(source.frames())
        except CaptureError as error:
            errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    started_s = time.monotonic()
    source.close()
    reader.join(5)
    assert not reader.is_alive()
    assert time.monotonic() - started_s < 2.5
    assert len(errors) == 1


def test_pipeline_whose_pictures_nobody_reads_still_hears_that_it_shall_stop(gst):
    source = gst("videotestsrc ! video/x-raw,width=1920,height=1080")
    frames = source.frames()  # kept: a generator that is let go of lets go of its child
    next(frames)
    time.sleep(0.1)  # until the pipe is full again
    started_s = time.monotonic()
    source.close()
    frames.close()
    assert time.monotonic() - started_s < 0.7  # it was asked, not killed


def test_reading_again_and_again_leaves_no_file_and_no_thread(gst):
    counts = []
    for _ in range(3):
        source = gst(BARS)
        frames = source.frames()
        next(frames)
        frames.close()
        counts.append((open_files(), threading.active_count()))
    assert counts[-1] <= counts[0]


def test_agent_killed_outright_takes_a_silent_child_along(launcher):
    if not shutil.which("setpriv"):
        pytest.skip("no setpriv: install util-linux")
    let_go(launcher("header(); picture(); time.sleep(60)"))
    program = """
        from agent.capture.gst import GstSource
        from agent.clock import SystemClock
        for _ in GstSource("c", "anything", SystemClock()).frames():
            print(flush=True)
    """
    agent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE
    )
    try:
        agent.stdout.readline()
        ours = Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()
        assert len(ours) == 1
    finally:
        agent.kill()
        agent.wait()
        agent.stdout.close()
    wait_until(lambda: not _lives(int(ours[0])), 5, "the child's end")


def _lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("pipeline", "words"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("videotestsrc name='x", "cannot be read"),
        ("rtspsrc location=rtsp://u:s3cret@cam/1 ! decodebin", "password"),
        ("rtspsrc location=rtsp://cam/1 user-id=u user-pw=s3cret ! decodebin", "password"),
        ("rtspsrc location=rtsp://cam/1 user-pw = s3cret ! decodebin", "password"),
    ],
)
def test_pipeline_is_refused_before_any_child_is_started(pipeline, words):
    with pytest.raises(CaptureError, match=words) as caught:
        GstSource("c", pipeline, SystemClock())
    assert "s3cret" not in str(caught.value)


def test_missing_launcher_is_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    before = open_files()
    with pytest.raises(CaptureError, match=r"gst-launch-1\.0: cannot be started: No such file"):
        GstSource("c", "videotestsrc", SystemClock())
    assert open_files() == before


def test_child_that_dies_says_its_last_words(launcher):
    source = launcher("""
        header(); picture()
        print("setting up")
        print("ERROR: from element /v4l2src0: Cannot identify device rtsp://u:s3cret@cam/1")
        print("freeing pipeline")
    """)
    text = failure(source)
    assert text == "gst: ERROR: from element /v4l2src0: Cannot identify device rtsp://cam/1"


def test_child_that_dies_without_a_word_is_one_clear_error(launcher):
    assert failure(launcher("header(); picture()")) == "gst: ended without a word"


def test_child_that_is_killed_is_one_clear_error(launcher):
    source = launcher("header(); picture(); time.sleep(60)")
    frames = source.frames()
    next(frames)
    (pid,) = (pid for pid, words in children().items() if b"gst-launch" in words)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(CaptureError, match="ended"):
        next(frames)


def test_child_does_not_hear_the_ctrl_c_of_the_agent(launcher):
    source = launcher("header(); picture(); time.sleep(60)")
    frames = source.frames()
    next(frames)
    (pid,) = (pid for pid, words in children().items() if b"gst-launch" in words)
    assert os.getpgid(pid) != os.getpgid(0)
    source.close()


def test_child_that_falls_silent_is_given_up(launcher):
    source = launcher("header(); picture(); time.sleep(60)")
    assert failure(source) == "gst: no picture for 0 s"


def test_child_that_stops_in_the_middle_of_a_picture_is_given_up(launcher):
    source = launcher("header(); os.write(pipe, b'FRAME\\n' + bytes(9)); time.sleep(60)")
    assert failure(source) == "gst: no picture for 0 s"


def test_child_that_drips_its_header_is_given_up_in_time(launcher):
    source = launcher("""
        for _ in range(200):
            os.write(pipe, b'Y')
            time.sleep(0.1)
    """)
    assert failure(source) == "gst: no picture for 0 s"


@pytest.mark.parametrize(
    "header",
    [
        b"\\x00\\x01",
        b"YUV4MPEG2",
        b"YUV4MPEG2 W16",
        b"YUV4MPEG2 W-1 H8",
        b"YUV4MPEG2 W0 H0",
        b"YUV4MPEG2 W99999999 H99999999",
        b"W" * 5000,
    ],
)
def test_child_that_writes_no_pictures_is_one_clear_error(launcher, header):
    assert failure(launcher(f"header({header!r}.replace(b'\\\\x00', b'')); time.sleep(60)"))


DEAF = """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    header(); picture(); time.sleep(60)
"""


def test_child_that_is_deaf_is_killed(launcher):
    source = launcher(DEAF)
    frames = source.frames()
    next(frames)
    started_s = time.monotonic()
    source.close()
    assert time.monotonic() - started_s < 0.2  # who closes waits for nobody
    frames.close()
    assert 0.7 < time.monotonic() - started_s < 2


def test_reader_of_a_silent_deaf_child_wakes_with_its_close(launcher):
    let_go(launcher(DEAF))
    source = GstSource("c", "anything", SystemClock(), Patience(open_s=30, picture_s=30))
    threading.Timer(0.5, source.close).start()
    started_s = time.monotonic()
    with pytest.raises(CaptureError, match="closed"):
        list(source.frames())
    assert time.monotonic() - started_s < 2.5


def test_many_deaf_children_stop_together(launcher):
    let_go(launcher(DEAF))
    with contextlib.ExitStack() as stack:
        captures = []
        for name in "abcdef":
            config = CameraConfig(camera_id=name, roles=("face",), source="gst:anything")
            captures.append(Capture(config, SystemClock(), progress=lambda: None))
            stack.enter_context(running(captures[-1]))
        for capture in captures:
            wait_until(lambda capture=capture: capture.mailbox.take(0), what="a frame")
        started_s = time.monotonic()
        for capture in captures:
            capture.close()
        assert time.monotonic() - started_s < 0.3
    assert time.monotonic() - started_s < 1.3  # all of them; one after the other they took 6 s


def test_child_that_talks_without_end_neither_blocks_nor_spoils_the_pictures(launcher):
    source = launcher("""
        header()
        for _ in range(20):
            print("x" * 100_000)
            print("y" * 100_000, file=sys.stderr, flush=True)
            picture()
        time.sleep(60)
    """)
    frames = list(itertools.islice(source.frames(), 20))
    assert len(frames) == 20
    assert not frames[-1].picture.luma().any()
    source.close()


def test_child_is_told_a_pipe_of_its_own_and_inherits_no_other_file(tmp_path):
    (tmp_path / "secret").write_text("x")
    listing = "import os; print(sorted(os.listdir('/proc/self/fd')), flush=True)"
    with (tmp_path / "secret").open():
        child = FrameChild(lambda pipe: [sys.executable, "-c", listing], "child")
        with pytest.raises(CaptureError) as caught:
            child.read(1, 5)
        child.release()
    assert len(str(caught.value).split(",")) <= 5  # three, the pipe, and the listing's own


def picamera(misbehave="", patience=None, number="0"):
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SIMULATORS / "fake_picamera"),
        "MISBEHAVE": misbehave,
    }
    return PicameraSource(
        "c",
        number,
        SystemClock(),
        patience or Patience(open_s=10, picture_s=5),
        python=sys.executable,
        environment=environment,
    )


def test_pi_camera_gives_two_sizes_of_each_picture():
    source = picamera()
    frames = list(itertools.islice(source.frames(), 4))
    source.close()
    for frame in frames:
        assert (frame.picture.width_px, frame.picture.height_px) == (640, 360)
        assert (frame.main.width_px, frame.main.height_px) == (1920, 1080)
    for picture in (frames[-1].picture, frames[-1].main):
        luma = picture.luma(64)[20].astype(int)
        assert np.all(np.diff(luma) <= 0)  # the padding of the rows is nowhere in it
        red, green, blue = picture.rgb(WHOLE, 4, 4)[2, 1].astype(int)
        assert red > green > 0
        assert red > blue


def test_pi_camera_stamps_the_exposure_not_the_arrival():
    source = picamera()
    frame = next(source.frames())
    age_s = (time.monotonic_ns() - frame.t_mono_ns) / 1e9
    assert time.time() - frame.t_utc_ms / 1e3 == pytest.approx(age_s, abs=0.1)
    source.close()
    assert 0.3 <= age_s < 1.5


@pytest.mark.parametrize(
    ("misbehave", "words"),
    [
        ("missing", "apt install python3-picamera2"),
        ("unplugged", "no camera 0 is connected"),
        ("dying", "timed out"),
        ("silent", "no picture for 0 s"),
    ],
)
def test_pi_camera_that_fails_says_what_to_do(misbehave, words):
    patience = Patience(open_s=10, picture_s=0.4) if misbehave == "silent" else None
    assert words in failure(picamera(misbehave, patience))


def test_pi_camera_that_is_stuck_is_killed():
    source = picamera("stuck", Patience(open_s=10, picture_s=0.4))
    assert failure(source) == "picamera:0: no picture for 0 s"


def test_pi_camera_library_that_talks_does_not_spoil_the_pictures():
    source = picamera("chatty")
    assert len(list(itertools.islice(source.frames(), 3))) == 3
    source.close()


@pytest.mark.skipif(
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
    reason="interrupts are ignored here, as a shell has it for what runs in the background",
)
def test_pi_camera_is_stopped_in_order(monkeypatch):
    monkeypatch.setattr("agent.capture.child._STOP_S", 10.0)  # a busy machine is slow, too
    source = picamera()
    frames = source.frames()
    next(frames)
    started_s = time.monotonic()
    source.close()
    frames.close()
    assert time.monotonic() - started_s < 9  # it was asked, not killed


@pytest.mark.parametrize("number", ["", "x", "-1", "0; rm"])
def test_pi_camera_without_a_number_is_refused(number):
    with pytest.raises(CaptureError, match="like picamera:0"):
        picamera(number=number)


def test_missing_python_is_one_clear_error():
    with pytest.raises(CaptureError, match="cannot be started"):
        PicameraSource("c", "0", SystemClock(), python="/nonexistent/python3")
