"""A camera that lies, floods, drips or sends noise costs one clear error and nothing else."""

import itertools
import random
import re
import resource
import socket
import struct
import threading
import time
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from drawn import drawn_units
from rtp_packer import RtpPacker
from scripted_camera import ScriptedCamera, answer, description, interleaved, polite_answers
from watching import QUICK, camera, failure, login_file, opened, running, wait_until

from agent.capture.capture import Capture
from agent.capture.credentials import AuthenticationError
from agent.capture.frames import Patience
from agent.capture.rtsp import RtspSession
from agent.capture.stream import MainStream, RtspSource
from agent.clock import SystemClock
from agent.errors import CaptureError

HASTY = Patience(open_s=0.3, picture_s=0.3)
MIB = 1 << 20


@pytest.fixture(scope="module")
def units():
    return {codec: drawn_units(codec) for codec in ("h264", "hevc", "mjpeg")}


def seen(camera_simulator, count=3, **options):
    with opened(camera_simulator.url, **options) as source:
        return list(itertools.islice(source.frames(), count))


def test_decent_camera_plays(units):
    for codec in units:
        with ScriptedCamera(units=units[codec], codec=codec) as polite:
            assert [frame.picture.width_px for frame in seen(polite)] == [160] * 3
            assert polite.methods()[:4] == ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"]


@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"])
@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "305 Use Proxy"])
def test_redirect_is_not_followed_and_its_host_not_touched(tmp_path, method, status):
    auth = login_file(tmp_path, "watcher:c0rrect")
    with ScriptedCamera() as other:
        moved = {method: lambda request: answer(request, status, Location=other.url)}
        with ScriptedCamera(answers=moved) as first:
            error = failure(first.url, auth=auth, patience=HASTY)
        assert str(error) == "the camera redirects to 127.0.0.1: not followed"
        time.sleep(0.05)  # were it followed, it would be so by now
        assert other.connections == 0


@pytest.mark.parametrize("location", ["", "rtsp://[", "\x1b]0;x\x07", "rtsp://" + "a" * 5000])
def test_redirect_to_nonsense_is_one_short_line(location):
    moved = {"DESCRIBE": lambda request: answer(request, "302 Found", Location=location)}
    with ScriptedCamera(answers=moved) as odd:
        error = failure(odd.url)
    assert "not followed" in str(error)
    assert "\x1b" not in str(error)


def test_names_of_other_hosts_in_an_answer_are_not_connected_to(units):
    with ScriptedCamera() as other:
        elsewhere = f"a=control:{other.url}/track1\r\nc=IN IP4 127.0.0.2\r\n"
        answers = {
            "DESCRIBE": lambda request: answer(
                request, body=description(extra=elsewhere), Content_Base=other.url + "/"
            )
        }
        with ScriptedCamera(answers=answers, units=units["h264"]) as first:
            assert len(seen(first)) == 3
        assert other.connections == 0


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "offers no video"),
        (b"v=0\r\nm=audio 0 RTP/AVP 8\r\n", "offers no video"),
        (description("VP8"), "sends VP8"),
        (description("MP4V-ES"), "sends MP4VES"),
        (b"\xff\xfe\x00" * 99, "offers no video"),
        (b"<html>login</html>", "offers no video"),
    ],
)
def test_description_without_a_video_for_us_is_refused_before_setup(body, words):
    with ScriptedCamera(answers={"DESCRIBE": lambda request: answer(request, body=body)}) as other:
        assert words in str(failure(other.url))
        assert "SETUP" not in other.methods()


@pytest.mark.parametrize(
    "transport",
    [
        "RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001",
        "RTP/AVP/UDP;unicast;client_port=5000-5001",
        "RTP/AVP;multicast;destination=224.2.0.1;port=5000-5001",
    ],
)
def test_video_granted_over_udp_is_refused_before_it_plays(transport):
    granted = {"SETUP": lambda request: answer(request, Transport=transport, Session="1")}
    with ScriptedCamera(answers=granted) as udp:
        assert "UDP only" in str(failure(udp.url))
        assert "PLAY" not in udp.methods()


def test_tcp_refused_is_said_with_the_cure():
    refused = {"SETUP": lambda request: answer(request, "461 Unsupported Transport")}
    with ScriptedCamera(answers=refused) as udp:
        assert "allow RTP over RTSP (TCP)" in str(failure(udp.url))


@pytest.mark.parametrize("status", ["404 Not Found", "500 \x1b[31mred", "999 ?", "200x OK", "2 1"])
def test_refusal_is_said_in_the_standards_words(status):
    with ScriptedCamera(answers={"DESCRIBE": lambda request: answer(request, status)}) as other:
        error = failure(other.url)
    assert "\x1b" not in str(error)
    assert "answers DESCRIBE with" in str(error) or "does not speak RTSP" in str(error)


def test_channel_that_the_camera_chose_is_read_and_no_other(units):
    def play(connection):
        packer, noise = RtpPacker("h264"), RtpPacker("h264")
        for number, unit in enumerate(units["h264"] * 5):
            for packet in packer.pack(unit, number):
                connection.send(interleaved(noise.packet(b"\x65" + bytes(50), 1), 0))
                connection.send(interleaved(bytes(28), 3))  # RTCP
                connection.send(interleaved(packet, 2))

    granted = {
        "SETUP": lambda request: answer(
            request, Transport="RTP/AVP/TCP;unicast;interleaved=2-3", Session="1"
        )
    }
    with ScriptedCamera(answers=granted, play=play) as other:
        frames = seen(other, 10)
    assert len({frame.picture.luma().tobytes() for frame in frames}) == 10


def test_video_on_a_channel_that_was_not_granted_is_no_video(units):
    with ScriptedCamera(play=lambda connection: _endless(connection, units, channel=4)) as wrong:
        assert "no picture for 0 s" in str(failure(wrong.url, patience=HASTY))


def _endless(connection, units, channel=0):
    packer = RtpPacker("h264")
    for number in itertools.count():
        for packet in packer.pack(units["h264"][number % 12], number):
            connection.send(interleaved(packet, channel))


@pytest.mark.parametrize(
    "greeting",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\r\n\r\n\r\n\r\n",
        b"\0" * 20000,
        b"A" * 20000,
        b"RTSP/1.0\r\n\r\n",
        b"RTSP/1.0 OK\r\n\r\n",
        b"RTSP/1.0 " + b"9" * 9999 + b" OK\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nX: " + b"A" * 20000,
        b"RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 70000\r\n\r\n",
    ],
)
def test_who_does_not_speak_rtsp_is_given_up_at_once(greeting):
    with ScriptedCamera(greet=lambda connection: connection.send(greeting)) as other:
        started_s = time.monotonic()
        assert isinstance(failure(other.url), CaptureError)
        assert time.monotonic() - started_s < 1


@pytest.mark.parametrize("length", ["-5", "x", "", "9" * 500, "٣", "1e3"])
def test_length_that_is_none_is_taken_for_nought(length):
    odd = {"OPTIONS": lambda request: answer(request, Content_Length=length)}
    with ScriptedCamera(answers=odd) as other:
        failure(other.url, patience=HASTY)  # it comes to DESCRIBE or to an error, not to a crash


def _silent(connection):
    connection.wait(20)


def _drip(connection):
    connection.drip(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nX: " + b"A" * 5000)


def _drip_body(connection):
    connection.send(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 60000\r\n\r\n")
    connection.drip(b"A" * 5000)


def _others_answers(connection):
    while True:
        connection.send(b"RTSP/1.0 200 OK\r\nCSeq: 9999\r\n\r\n")


def _requests(connection):
    while True:
        connection.send(b"OPTIONS rtsp://x RTSP/1.0\r\nCSeq: 1\r\n\r\n")


def _packets(connection):
    while True:
        connection.send(interleaved(bytes(1000)))


@pytest.mark.parametrize(
    "greet", [_silent, _drip, _drip_body, _others_answers, _requests, _packets]
)
def test_who_never_answers_is_given_up_in_time_and_takes_no_memory(greet):
    with ScriptedCamera(greet=greet) as other:
        started_s = time.monotonic()
        tracemalloc.start()
        error = failure(other.url, patience=HASTY)
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert "does not answer" in str(error)
    assert time.monotonic() - started_s < 1.5
    assert held < MIB


def test_close_wakes_who_waits_for_an_answer():
    with ScriptedCamera(greet=_silent) as other:
        capture = Capture(camera(other.url), SystemClock(), progress=lambda: None)
        with running(capture):
            wait_until(lambda: other.connections, what="the connection")
            started_s = time.monotonic()
        assert time.monotonic() - started_s < 1


def test_close_before_the_first_frame_connects_to_nobody():
    with ScriptedCamera() as other:
        source = RtspSource(camera(other.url), SystemClock())
        source.close()
        with pytest.raises(CaptureError):
            next(source.frames())
        assert other.connections == 0


def _noise_packets(connection):
    rng = random.Random(1)
    while True:
        connection.send(interleaved(rng.randbytes(rng.randint(0, 2000))))


def _packet_that_never_ends(connection):
    connection.send(b"$\0\xff\xff")
    connection.drip(bytes(5000))


def _answers_instead(connection):
    while True:
        connection.send(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n")


def _picture_that_never_ends(connection):
    packer = RtpPacker("h264")
    connection.send(interleaved(packer.packet(b"\x1c\x85" + bytes(60000), 1)))
    while True:
        connection.send(interleaved(packer.packet(b"\x1c\x05" + bytes(60000), 1)))


def _no_parameter_sets(connection):
    packer = RtpPacker("h264")
    for number in itertools.count():
        connection.send(interleaved(packer.packet(b"\x65" + bytes(99), number, marker=True)))


@pytest.mark.parametrize(
    "play",
    [
        _silent,
        _noise_packets,
        _packet_that_never_ends,
        _answers_instead,
        _picture_that_never_ends,
        _no_parameter_sets,
    ],
)
def test_stream_without_a_picture_is_given_up_in_time_and_takes_no_memory(play):
    with ScriptedCamera(play=play) as other:
        started_s = time.monotonic()
        tracemalloc.start()
        error = failure(other.url, patience=HASTY)
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert "no picture for 0 s" in str(error)
    assert time.monotonic() - started_s < 3
    assert held < 30 * MIB


def test_noise_in_the_place_of_a_packet_is_one_clear_line(units):
    def play(connection):
        connection.send(b"\x00\x01\x02garbage" * 5000)

    with ScriptedCamera(play=play) as other:
        assert str(failure(other.url)) == "the camera does not speak RTSP"


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("size", [(4112, 128), (128, 2320)])
def test_picture_larger_than_any_camera_makes_is_refused(codec, size):
    large = drawn_units(codec, count=2, size=size)
    with ScriptedCamera(units=large, codec=codec) as other:
        assert "4096 x 2304" in str(failure(other.url, patience=HASTY))


def test_large_jpeg_smuggled_into_the_scan_of_a_small_one_is_refused():
    """RTP itself says sizes up to 2040 only; the scan may hold another picture's headers."""
    (large,) = drawn_units("mjpeg", count=1, size=(4112, 128))

    def play(connection):
        packer = RtpPacker("mjpeg")
        for number in itertools.count():
            payload = b"\0\0\0\0\1\x32\x14\x0f" + large
            connection.send(interleaved(packer.packet(payload, number, marker=True)))
            connection.wait(0.01)

    with ScriptedCamera(play=play, codec="mjpeg") as other:
        assert "4096 x 2304" in str(failure(other.url, patience=HASTY))


def test_picture_that_claims_to_be_huge_is_not_made(units):
    """An SPS of 12000 x 12000: 216 MB for each picture, were it believed."""
    huge = _with_sps_of(units["h264"][0], across_mb=750, down_mb=750)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with ScriptedCamera(units=[huge]) as other:
        assert "larger than 4096 x 2304" in str(failure(other.url, patience=HASTY))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 100_000


def _with_sps_of(unit, across_mb, down_mb):
    """The unit with another SPS (H.264, 7.3.2.1.1): baseline, of so many macroblocks."""
    numbers = [0, 0, 2, 1]  # id, log2_max_frame_num - 4, pic_order_cnt_type, reference frames
    bits = "".join(map(_ue, numbers)) + "0" + _ue(across_mb - 1) + _ue(down_mb - 1)
    bits += "1100" + "1"  # frames only, direct 8x8, neither cropping nor VUI; stop
    bits += "0" * (-len(bits) % 8)
    sps = b"\x67\x42\xc0\x33" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    nals = [nal for nal in re.split(rb"\x00\x00\x00?\x01", unit) if nal and nal[0] & 0x1F != 7]
    return b"".join(b"\0\0\0\1" + nal for nal in [sps, *nals])


def _ue(value):
    coded = bin(value + 1)[2:]
    return "0" * (len(coded) - 1) + coded


def challenge(request, nonce, stale=""):
    offer = f'Digest realm="cam", nonce="{nonce}"{stale}'
    return answer(request, "401 Unauthorized", WWW_Authenticate=offer)


@pytest.mark.parametrize(("stale", "tries"), [("", 1), (", stale=true", 2)])
def test_password_that_is_refused_is_not_sent_again_and_again(tmp_path, stale, tries):
    nonces = itertools.count()
    refusing = {"DESCRIBE": lambda request: challenge(request, next(nonces), stale)}
    with ScriptedCamera(answers=refusing) as strict:
        error = failure(strict.url, auth=login_file(tmp_path, "a:b"))
        tried = [request for request in strict.requests if "authorization" in request.headers]
    assert isinstance(error, AuthenticationError)
    assert len(tried) == tries


def basic(request):
    return answer(request, "401 Unauthorized", WWW_Authenticate='Basic realm="cam"')


def test_camera_that_turns_from_digest_to_basic_does_not_get_the_password(tmp_path):
    def turning(request):
        logged_in = "authorization" in request.headers
        return basic(request) if logged_in else challenge(request, "a")

    with ScriptedCamera(answers={"DESCRIBE": turning}) as turncoat:
        error = failure(turncoat.url, auth=login_file(tmp_path, "a:b"))
        tried = [request.headers.get("authorization", "") for request in turncoat.requests]
    assert isinstance(error, AuthenticationError)
    assert not any(value.startswith("Basic") for value in tried)


def test_password_in_clear_is_one_warning_a_camera_and_not_in_it(tmp_path, caplog, units):
    def asking(request):
        return polite["DESCRIBE"](request) if "authorization" in request.headers else basic(request)

    polite, auth = polite_answers(), login_file(tmp_path, "watcher:s3cret")
    with ScriptedCamera(answers={"DESCRIBE": asking}, units=units["h264"]) as simple:
        for _ in range(2):
            assert len(seen(simple, auth=auth)) == 3
    (line,) = [entry.getMessage() for entry in caplog.records if "in clear" in entry.getMessage()]
    assert line.startswith(f"127.0.0.1:{simple.port}: ")
    assert "s3cret" not in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_main_stream_that_dies_of_a_bug_is_opened_anew_with_its_source(units, monkeypatch):
    def die(stream):
        if not died:
            died.append(stream)
            raise RuntimeError("bug")
        read(stream)

    died, read = [], MainStream._read
    monkeypatch.setattr(MainStream, "_read", die)
    with (
        ScriptedCamera(units=units["h264"]) as full,
        ScriptedCamera(units=units["h264"]) as sub,
        running(
            Capture(camera(full.url, sub.url), SystemClock(), progress=lambda: None)
        ) as capture,
    ):
        wait_until(lambda: "reader died" in (capture.state.error or ""), what="the loss")
        wait_until(lambda: (frame := capture.mailbox.take(1)) and frame.main, what="both streams")


@pytest.mark.parametrize("stale", [", stale=true", ", stale=false", ""])
def test_nonce_that_expires_between_two_requests_is_renewed(tmp_path, units, stale):
    """Many cameras renew the nonce without a word."""

    def expiring(make):
        renewed = []

        def reply(request):
            if not renewed:
                renewed.append(True)
                return challenge(request, f"for-{request.method}", stale)
            assert f'nonce="for-{request.method}"' in request.headers["authorization"]
            return make(request)

        return reply

    answers = {method: expiring(make) for method, make in polite_answers().items()}
    with ScriptedCamera(answers=answers, units=units["h264"]) as strict:
        assert len(seen(strict, auth=login_file(tmp_path, "a:b"))) == 3


@pytest.mark.parametrize("renewed", [True, False])
def test_nonce_that_expires_while_it_plays_is_renewed_by_the_keep_alive(tmp_path, units, renewed):
    kept = []

    def keep_alive(request):
        kept.append(request.headers["authorization"])
        if len(kept) == 1 or not renewed:
            return challenge(request, f"after-{len(kept)}")
        return answer(request)

    answers = {
        "OPTIONS": lambda request: answer(request, Public="GET_PARAMETER"),
        "DESCRIBE": lambda request: (
            polite_answers()["DESCRIBE"](request)
            if "authorization" in request.headers
            else challenge(request, "first")
        ),
        "SETUP": lambda request: answer(
            request, Transport="RTP/AVP/TCP;interleaved=0-1", Session="42;timeout=2"
        ),
        "GET_PARAMETER": keep_alive,
    }
    with (
        ScriptedCamera(answers=answers, units=units["h264"]) as strict,
        opened(strict.url, auth=login_file(tmp_path, "a:b")) as source,
    ):
        try:
            for _ in source.frames():
                if len(kept) == 2 and renewed:
                    break
        except AuthenticationError:
            assert not renewed
    assert 'nonce="after-1"' in kept[1]


def test_keep_alive_goes_out_in_half_the_sessions_time_and_is_not_taken_for_video(units):
    short = {
        "OPTIONS": lambda request: answer(request, Public="OPTIONS, GET_PARAMETER"),
        "SETUP": lambda request: answer(
            request, Transport="RTP/AVP/TCP;interleaved=0-1", Session="42;timeout=2"
        ),
    }
    with (
        ScriptedCamera(answers=short, units=units["h264"]) as polite,
        opened(polite.url) as source,
    ):
        for _ in source.frames():
            if "GET_PARAMETER" in polite.methods():
                break
        kept = next(r for r in polite.requests if r.method == "GET_PARAMETER")
    assert kept.headers["session"] == "42"


@pytest.mark.parametrize("session", ["", ";", "1;timeout=0", "1;timeout=x", "1;timeout=99999999"])
def test_odd_session_is_lived_with(units, session):
    odd = {
        "SETUP": lambda request: answer(
            request, Transport="RTP/AVP/TCP;interleaved=0-1", Session=session
        )
    }
    with ScriptedCamera(answers=odd, units=units["h264"]) as other:
        assert len(seen(other)) == 3


def test_camera_that_hangs_up_says_so():
    def play(connection):
        connection.link.shutdown(socket.SHUT_RDWR)

    with ScriptedCamera(play=play) as other:
        error = failure(other.url)
    assert (str(error), error.why) == ("the camera hung up", "ended")


def test_camera_that_resets_the_connection_is_one_clear_line():
    def play(connection):
        connection.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.link.shutdown(socket.SHUT_RD)  # its reader ends, and closes it

    with ScriptedCamera(play=play) as other:
        error = failure(other.url)
    assert str(error) == "the connection broke: Connection reset by peer"


def test_camera_that_reads_nothing_does_not_hold_the_sender():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"rtsp://127.0.0.1:{listener.getsockname()[1]}/" + "a" * 60000
        session = RtspSession(url, None, HASTY)
        with pytest.raises(CaptureError):
            session.open()
        session.release()


@pytest.mark.parametrize("seed", range(40))
def test_damaged_conversation_ends_in_frames_or_a_capture_error(units, seed):
    rng = random.Random(seed)

    def damaged(make):
        def reply(request):
            data = bytearray(make(request))
            for _ in range(rng.randint(0, 4)):
                at = rng.randrange(len(data))
                data[at : at + rng.randint(0, 6)] = rng.randbytes(rng.randint(0, 6))
            return bytes(data)

        return reply

    def play(connection):
        _send_damaged(connection, units["h264"], "h264", rng)

    answers = {method: damaged(make) for method, make in polite_answers().items()}
    with ScriptedCamera(answers=answers, play=play) as other:
        assert isinstance(failure(other.url, patience=HASTY), CaptureError)


@pytest.mark.parametrize("codec", ["h264", "hevc", "mjpeg"])
@pytest.mark.parametrize("seed", range(12))
def test_damaged_stream_ends_in_frames_or_a_capture_error(units, codec, seed):
    rng = random.Random(seed)

    def play(connection):
        _send_damaged(connection, units[codec], codec, rng)

    with ScriptedCamera(play=play, codec=codec) as other:
        frames = 0
        with opened(other.url, patience=HASTY) as source, pytest.raises(CaptureError):
            for frame in source.frames():
                frame.picture.luma(16)
                frames += 1
    assert frames <= 40


def _send_damaged(connection, coded, codec, rng):
    packer = RtpPacker(codec, mtu=rng.choice([60, 300, 1200]))
    for number, unit in enumerate(coded * 2):
        for packet in packer.pack(unit, number):
            data = bytearray(interleaved(packet))
            if rng.random() < 0.1:
                for _ in range(rng.randint(1, 5)):
                    # The head of the frame stays, mostly: else all after it is lost.
                    data[rng.randrange(0 if rng.random() < 0.02 else 4, len(data))] = rng.randrange(
                        256
                    )
            connection.send(bytes(data))
    connection.link.shutdown(socket.SHUT_RDWR)


def test_main_picture_is_of_the_moment_of_the_small_one():
    """Both streams show the same bar; where it is tells the time."""

    def bar(number, size):
        pixels = np.full((size[1], size[0], 3), 60, np.uint8)
        left = number * size[0] // 40
        pixels[:, left : left + size[0] // 10] = 230
        return pixels

    main = drawn_units("h264", count=30, size=(640, 480), picture=bar)
    small = drawn_units("h264", count=30, size=(160, 120), picture=bar)
    together = threading.Barrier(2, timeout=10)

    def play(coded):
        def stream(connection):
            packer = RtpPacker("h264")
            with suppress(threading.BrokenBarrierError):
                for number, unit in enumerate(coded):
                    together.wait()
                    for packet in packer.pack(unit, number):
                        connection.send(interleaved(packet))
                    connection.wait(0.1)

        return stream

    def place(picture):
        columns = np.flatnonzero(picture.luma(160).mean(axis=0) > 150)
        return columns.mean() / 160

    compared, waiting = [], []
    with (
        ScriptedCamera(play=play(main), codec="h264") as full,
        ScriptedCamera(play=play(small), codec="h264") as sub,
        opened(full.url, sub.url, patience=QUICK) as source,
    ):
        for frame in itertools.islice(source.frames(), 25):
            waiting.append(frame)
            if len(waiting) > 3:  # who looks comes later, when both streams have gone on
                older = waiting.pop(0)
                if older.main:
                    compared.append((place(older.picture), place(older.main)))
    together.abort()
    assert len(compared) >= 15
    assert all(abs(ours - theirs) < 0.06 for ours, theirs in compared)
    assert compared[-1][0] > compared[0][0] + 0.2
