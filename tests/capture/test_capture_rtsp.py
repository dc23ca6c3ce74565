"""RTSP against GStreamer's own server: what plays, who is let in, what breaks and comes back."""

import datetime
import itertools
import logging
import threading
import time
import traceback

import numpy as np
import pytest
import rtsp_server
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from watching import (
    camera,
    command_lines,
    failure,
    login_file,
    open_files,
    opened,
    running,
    wait_until,
)

from agent.capture import stream
from agent.capture.capture import Capture
from agent.capture.credentials import AuthenticationError
from agent.capture.decoding import Decoder
from agent.capture.frames import Patience
from agent.capture.stream import RtspSource
from agent.capture.watch import FrozenWatch
from agent.clock import SystemClock
from agent.errors import CaptureError
from agent.records import WHOLE, Box

LOGIN = "watcher:c0rrect-h0rse"
PASSWORD = LOGIN.partition(":")[2]


@pytest.fixture
def served():
    """Starts servers; skips, with the reason, where GStreamer's is not installed."""
    started = []

    def serve(*options, codec="h264", **more):
        lacking = rtsp_server.missing(codec)
        if lacking:
            pytest.skip(lacking)
        context = rtsp_server.rtsp_server("--codec", codec, *options, **more)
        started.append(context)
        return context.__enter__()

    yield serve
    for context in started:
        context.__exit__(None, None, None)


def lines(caplog, level=logging.INFO):
    return [line.getMessage() for line in caplog.records if line.levelno >= level]


def capture_of(url, auth=None, detect_url=None, patience=None):
    return Capture(
        camera(url, detect_url, auth),
        SystemClock(),
        progress=lambda: None,
        opener=lambda config, clock: RtspSource(
            config, clock, patience or Patience(open_s=3, picture_s=2)
        ),
        rng=lambda: 0.0,
    )


@pytest.mark.parametrize("codec", ["h264", "h265", "mjpeg"])
def test_video_plays_over_tcp(served, codec):
    server = served("--pattern", "smpte75", codec=codec)
    with opened(server.url) as source:
        frames = list(itertools.islice(source.frames(), 20))
    assert [frame.seq for frame in frames] == list(range(1, 21))
    picture = frames[-1].picture
    assert (picture.width_px, picture.height_px) == (320, 240)
    bars = picture.rgb(WHOLE, 7, 1)[0].astype(int)
    red, blue = bars[5], bars[6]
    assert red[0] > red[2] + 60
    assert blue[2] > blue[0] + 60
    assert frames[0].main is None


def test_frames_are_stamped_when_they_came(served):
    with opened(served("--fps", "20").url) as source:
        frames = source.frames()
        before_ns = time.monotonic_ns()
        taken = [next(frames).t_mono_ns for _ in range(21)]
    assert before_ns < taken[0] < taken[-1] <= time.monotonic_ns()
    assert all(after > before for before, after in itertools.pairwise(taken))
    assert (taken[-1] - taken[0]) / 1e9 == pytest.approx(1.0, abs=0.4)


def test_only_video_is_set_up_where_sound_is_offered(served):
    server = served("--audio")
    with opened(server.url) as source:
        assert next(source.frames()).picture.width_px == 320
    methods = server.methods()
    assert [word for word in methods if word.startswith("setup")] == ["setup:stream=0"]


def test_session_is_taken_down_at_the_end(served):
    server = served()
    with opened(server.url) as source:
        frames = source.frames()
        next(frames)
        frames.close()
    wait_until(lambda: "teardown:live" in server.methods(), what="the teardown")


def test_reading_again_and_again_leaves_no_file_open(served):
    server = served()
    counts = []
    for _ in range(4):
        with opened(server.url) as source:
            frames = source.frames()
            next(frames)
            frames.close()
        counts.append(open_files())
    assert counts[-1] <= counts[0]


@pytest.mark.parametrize("options", [(), ("--basic",)], ids=["digest", "basic"])
def test_right_password_is_let_in(served, tmp_path, options):
    server = served(*options, login=LOGIN)
    with opened(server.url, auth=login_file(tmp_path, LOGIN)) as source:
        assert len(list(itertools.islice(source.frames(), 5))) == 5


@pytest.mark.parametrize("options", [(), ("--basic",)], ids=["digest", "basic"])
@pytest.mark.parametrize("wrong", ["watcher:guess", "somebody:c0rrect-h0rse"])
def test_wrong_password_is_refused_as_such(served, tmp_path, options, wrong):
    server = served(*options, login=LOGIN)
    error = failure(server.url, auth=login_file(tmp_path, wrong))
    assert isinstance(error, AuthenticationError)
    assert str(error) == "the camera refuses the user or password in `auth`"
    assert error.why == "login"


def test_login_that_is_not_configured_is_asked_for(served):
    error = failure(served(login=LOGIN).url)
    assert isinstance(error, AuthenticationError)
    assert "give it `auth`" in str(error)


def test_wrong_password_is_one_log_line_and_more_than_a_minute_of_quiet(served, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    server = served(login=LOGIN)
    waits_s, tries = [], [0]
    config = camera(server.url, auth=login_file(tmp_path, "watcher:guess"))

    def opener(config, clock):
        tries[0] += 1
        return RtspSource(config, clock)

    capture = Capture(
        config,
        SystemClock(),
        progress=lambda: None,
        opener=opener,
        wait=waits_s.append,
        rng=lambda: 0.0,
    )
    stop = threading.Event()
    thread = threading.Thread(target=capture.run, args=(stop,))
    thread.start()
    wait_until(lambda: tries[0] >= 3, what="the third try")
    stop.set()
    thread.join(10)
    assert sum(waits_s[:60]) >= 60
    assert sum(waits_s) / (tries[0] - 1) >= 60
    assert lines(caplog) == [
        "camera gate: the camera refuses the user or password in `auth`; trying again"
    ]


def test_password_shows_nowhere(served, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    right, wrong = served(login=LOGIN), served(login="other:l0gin")
    auth = login_file(tmp_path, LOGIN)
    with opened(right.url, auth=auth) as source:
        next(source.frames())
        shown = [repr(source), repr(vars(source)), repr(vars(source._session))]
        seen_by_others = command_lines()
    for url in (wrong.url, right.url.replace("/live", "/none"), "rtsp://127.0.0.1:9/live"):
        error = failure(url, auth=auth)
        shown += [repr(error), *traceback.format_exception(error)]
    with_password = f"rtsp://{LOGIN}@127.0.0.1:{right.port}/live"
    with pytest.raises(CaptureError, match="holds a password") as caught:
        RtspSource(camera(with_password), SystemClock())
    shown += traceback.format_exception_only(caught.value)
    # The interpreter's own lines of source and the test's words are not what is looked for.
    assert not [text for text in shown + lines(caplog, logging.DEBUG) if PASSWORD in text]
    assert PASSWORD.encode() not in seen_by_others


def test_address_that_the_camera_has_not_is_one_clear_line(served):
    error = failure(served().url.replace("/live", "/none"))
    assert str(error) == "the camera answers DESCRIBE with 404 Not Found"


def test_codec_that_is_not_decoded_is_refused_before_any_setup(served):
    server = served(codec="vp8")
    assert "sends VP8" in str(failure(server.url))
    assert not [word for word in server.methods() if word.startswith("setup")]


def test_nobody_at_the_address_is_unreachable():
    error = failure("rtsp://127.0.0.1:9/live")
    assert str(error) == "127.0.0.1:9: Connection refused"
    assert error.why == "unreachable"


def test_server_killed_in_mid_stream_and_back_gives_frames_again(served, caplog):
    caplog.set_level(logging.INFO)
    server = served()
    with running(capture_of(server.url)) as capture:
        wait_until(lambda: capture.mailbox.take(0), what="a frame")
        server.kill()
        wait_until(lambda: not capture.state.connected, what="the loss")
        assert capture.state.why in ("ended", "no-picture", "unreachable")
        served(port=server.port)
        lost_at = capture.state.since_mono_ns
        wait_until(lambda: capture.state.connected, what="the return")
        frame = capture.mailbox.take(5)
        assert frame.t_mono_ns > lost_at
    said = [line for line in lines(caplog) if "connected" in line]
    assert said == ["camera gate: connected"] * 2


def test_stream_that_falls_silent_is_given_up_within_the_watchdog(served):
    server = served()
    with opened(server.url, patience=Patience(open_s=3, picture_s=1)) as source:
        frames = source.frames()
        next(frames)
        server.stall()
        stalled_s = time.monotonic()
        with pytest.raises(CaptureError, match="no picture for 1 s") as caught:
            for _ in frames:
                pass
        assert 0.8 < time.monotonic() - stalled_s < 2.5
        assert caught.value.why == "no-picture"


def test_close_wakes_a_reader_of_a_silent_stream(served):
    server = served()
    with running(capture_of(server.url, patience=Patience())) as capture:
        wait_until(lambda: capture.mailbox.take(0), what="a frame")
        server.stall()
        capture.mailbox.take(0.2)
        started_s = time.monotonic()
    assert time.monotonic() - started_s < 1


def test_frozen_picture_under_a_ticking_clock_is_found(served):
    server = served("--pattern", "smpte75", "--clock", "--fps", "5", "--gop", "10")
    watch, clocks = FrozenWatch(3), []
    with opened(server.url) as source, pytest.raises(CaptureError, match="frozen") as caught:
        for frame in itertools.islice(source.frames(), 60):
            clocks.append(frame.picture.luma()[:24, :80].copy())
            watch.look(frame)
    assert caught.value.why == "frozen"
    assert any(not np.array_equal(clocks[0], later) for later in clocks)  # it did tick


def test_moving_picture_under_a_ticking_clock_is_not_frozen(served):
    server = served("--clock", "--fps", "5")
    watch = FrozenWatch(3)
    with opened(server.url) as source:
        for frame in itertools.islice(source.frames(), 20):
            watch.look(frame)


class CountingDecoder(Decoder):
    """The real one; it counts what it was given."""

    made: list["CountingDecoder"]

    def __init__(self, codec, parameter_sets=b""):
        super().__init__(codec, parameter_sets)
        self.units = 0
        self.made.append(self)

    def decode(self, unit, taken_ns):
        self.units += 1
        return super().decode(unit, taken_ns)


@pytest.fixture
def decoders(monkeypatch):
    CountingDecoder.made = []
    monkeypatch.setattr(stream, "Decoder", CountingDecoder)
    return CountingDecoder.made


@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
def test_main_stream_is_decoded_only_when_looked_at(served, decoders, codec):
    server = served("--size", "640x480", "--sub", "160x120", "--pattern", "smpte75", codec=codec)
    with opened(server.url, server.sub_url) as source:
        frames = source.frames()
        frame = next(frame for frame in frames if frame.main)
        frames_with_main = [frame, *itertools.islice(frames, 10)]
        assert len(decoders) == 1  # the small stream's
        crop = frame.crop(Box(x0=0.0, y0=0.0, x1=0.5, y1=0.5), 320)
        assert len(decoders) == 2
        last = frames_with_main[-1]
        assert (last.picture.width_px, last.picture.height_px) == (160, 120)
        assert (last.main.width_px, last.main.height_px) == (640, 480)
    assert crop.shape == (240, 320, 3)
    small = last.picture.rgb(WHOLE, 7, 1).astype(int)
    assert np.abs(last.main.rgb(WHOLE, 7, 1) - small).max() < 12
    assert decoders[1].units <= 20


def test_main_stream_that_is_away_leaves_the_small_one(served, caplog):
    server = served("--size", "160x120")
    with opened(f"rtsp://127.0.0.1:{server.port}/none", server.url) as source:
        frames = list(itertools.islice(source.frames(), 20))
    assert all(frame.main is None for frame in frames)
    assert frames[-1].crop(WHOLE, 80).shape == (60, 80, 3)
    assert lines(caplog) == [
        "camera gate: main stream: the camera answers DESCRIBE with 404 Not Found"
    ]


def test_main_stream_ends_with_its_source(served):
    server = served("--size", "640x480", "--sub", "160x120")
    with opened(server.url, server.sub_url) as source:
        next(frame for frame in source.frames() if frame.main)
        assert "main gate" in [thread.name for thread in threading.enumerate()]
    wait_until(
        lambda: "main gate" not in [thread.name for thread in threading.enumerate()], 3, "its end"
    )


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Self-signed, as cameras have them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "camera")])
    now = datetime.datetime.now(datetime.timezone.utc)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "camera.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def test_video_plays_over_tls(served, tmp_path, certificate):
    server = served(certificate=certificate, login=LOGIN)
    with opened(server.url, auth=login_file(tmp_path, LOGIN)) as source:
        frames = source.frames()
        assert next(frames).picture.width_px == 320
        closer = threading.Timer(0.2, source.close)
        closer.start()
        with pytest.raises(CaptureError):
            for _ in frames:
                pass
        closer.join()


def test_tls_asked_of_a_plain_server_is_one_clear_line(served):
    error = failure(served().url.replace("rtsp://", "rtsps://"))
    assert "TLS failed" in str(error) or "no answer" in str(error)
    assert error.why == "unreachable"


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://",
        "rtsp:///live",
        "rtsp://cam:99999/live",
        "rtsp://cam:0/live",
        "rtsp://cam:x/live",
        "http://cam/live",
        "rtsp://cam/li ve",
        "rtsp://cam/li\r\nve",
        "rtsp://cam/ü",
        "rtsp://[::1/live",
        "rtsp://user:s3cret@cam/live",
        "rtsp://user:s3cr/et@cam/live",
    ],
)
def test_address_that_is_none_is_refused_without_repeating_it(url):
    with pytest.raises(CaptureError) as caught:
        RtspSource(camera(url), SystemClock())
    assert "s3cr" not in "".join(traceback.format_exception(caught.value))
