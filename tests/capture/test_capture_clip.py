"""A video file as a camera: its times, its pace, and what is no clip."""

import itertools
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest
from drawn import drawn_clip

from agent.capture.clip import ClipSource
from agent.clock import ManualClock, SystemClock
from agent.errors import CaptureError
from agent.records import WHOLE

CLIPS = Path(__file__).parents[2] / ".cache" / "clips"


@pytest.fixture
def clip(tmp_path):
    return drawn_clip(tmp_path / "bar.mp4")


def replayed(path, clock=None):
    return list(ClipSource("c", path, clock or ManualClock(), realtime=False).frames())


def refusal(path):
    """The one clear line that a clip which is none is refused with."""
    with pytest.raises(CaptureError) as caught:
        replayed(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_clip_replayed_gives_every_frame_in_media_time(clip):
    frames = replayed(clip, ManualClock(utc_ms=1_764_000_000_000, mono_ns=5_000_000_000))
    assert [frame.seq for frame in frames] == list(range(1, 21))
    assert [frame.t_mono_ns for frame in frames] == [
        5_000_000_000 + number * 100_000_000 for number in range(20)
    ]
    assert frames[-1].t_utc_ms == 1_764_000_001_900
    assert (frames[0].picture.width_px, frames[0].picture.height_px) == (160, 120)


def test_clip_replayed_shows_what_was_drawn(clip):
    for number, frame in enumerate(replayed(clip)):
        white = np.flatnonzero(frame.picture.luma().mean(axis=0) > 200)
        assert white[[0, -1]] == pytest.approx([number * 5, number * 5 + 19], abs=1)


def test_clip_without_times_of_its_own_keeps_its_rate(tmp_path):
    frames = replayed(drawn_clip(tmp_path / "raw.h264", rate=25))
    gaps_ns = {after.t_mono_ns - before.t_mono_ns for before, after in itertools.pairwise(frames)}
    assert gaps_ns == {40_000_000}


@pytest.mark.parametrize("suffix", ["avi", "mkv", "ts", "flv", "mov"])
def test_clip_in_another_container_is_read(tmp_path, suffix):
    assert len(replayed(drawn_clip(tmp_path / f"bar.{suffix}"))) == 20


def test_clip_in_realtime_is_paced_and_starts_again_at_its_end(tmp_path):
    source = ClipSource("c", drawn_clip(tmp_path / "a.mp4", rate=50), SystemClock(), realtime=True)
    started_s = time.monotonic()
    frames = list(itertools.islice(source.frames(), 31))
    assert time.monotonic() - started_s >= 29 / 50  # one interval is lost where it starts again
    assert [frame.seq for frame in frames] == list(range(1, 32))
    assert frames[-1].t_mono_ns > frames[0].t_mono_ns
    again = np.abs(frames[20].picture.luma().astype(int) - frames[0].picture.luma()).mean()
    assert again < 1


def test_clip_closed_between_two_slow_pictures_ends_at_once(tmp_path):
    slow = drawn_clip(tmp_path / "slow.mkv", count=2, rate=1)
    source = ClipSource("c", slow, SystemClock(), realtime=True)
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(source.frames()))
    started_s = time.monotonic()
    reader.start()
    source.close()
    reader.join(5)
    assert not reader.is_alive()
    assert time.monotonic() - started_s < 0.9
    assert len(seen) <= 1


def test_clip_missing_is_refused(tmp_path):
    assert refusal(tmp_path / "none.mp4") == f"{tmp_path}/none.mp4: no such clip"
    assert "no such clip" in refusal(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"hello " * 500, b"\0" * 5000], ids=["empty", "text", "zeros"]
)
def test_clip_that_is_no_video_is_refused(tmp_path, content):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    assert "not a video clip" in refusal(path)


def test_clip_of_sound_only_is_refused(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=48000)
        silence = av.AudioFrame.from_ndarray(
            np.zeros((1, 48000), np.float32), format="fltp", layout="mono"
        )
        silence.rate = 48000
        out.mux(stream.encode(silence))
        out.mux(stream.encode())
    assert "no pictures in it" in refusal(path)


def test_clip_cut_before_its_index_is_refused(clip):
    clip.write_bytes(clip.read_bytes()[:-200])
    assert "not a video clip" in refusal(clip)


def test_clip_cut_in_its_pictures_gives_those_before_and_says_where(tmp_path):
    clip = drawn_clip(tmp_path / "cut.mp4", faststart=True)
    whole = clip.read_bytes()
    clip.write_bytes(whole[: whole.find(b"mdat") + (len(whole) - whole.find(b"mdat")) * 2 // 3])
    frames = ClipSource("c", clip, ManualClock(), realtime=False).frames()
    seen = 0
    with pytest.raises(CaptureError, match=r"damaged after [0-9.]+ s"):
        for _ in frames:
            seen += 1
    assert 0 < seen < 20


@pytest.mark.parametrize("realtime", [False, True])
def test_clip_without_one_whole_picture_is_refused_not_looped_for_ever(tmp_path, realtime):
    clip = drawn_clip(tmp_path / "cut.mp4", faststart=True)
    whole = clip.read_bytes()
    clip.write_bytes(whole[: whole.find(b"mdat") + 4])
    source = ClipSource("c", clip, SystemClock(), realtime=realtime)
    with pytest.raises(CaptureError, match="first picture"):
        next(source.frames())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{ts}\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{ts}\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile '{ts}'\n"),
        (
            "list.mpd",
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
            "<Period><BaseURL>{ts}</BaseURL></Period></MPD>",
        ),
        (
            "net.sdp",
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
            "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        ),
        ("net.m3u8", "#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n"),
    ],
)
def test_clip_that_names_other_files_is_refused_at_once(tmp_path, name, text):
    real = drawn_clip(tmp_path / "real.ts")
    path = tmp_path / name
    path.write_text(text.format(ts=real))
    started_s = time.monotonic()
    assert "not a video clip" in refusal(path)
    assert time.monotonic() - started_s < 2  # it listened on no port and asked no host


def test_clip_with_a_title_in_another_alphabet_is_read(tmp_path):
    clip = drawn_clip(tmp_path / "title.mp4", metadata={"title": "XXXXX"})
    clip.write_bytes(clip.read_bytes().replace(b"XXXXX", "Север".encode("cp1251")))
    assert len(replayed(clip)) == 20


@pytest.mark.parametrize(
    ("name", "size", "codec", "pix_fmt"),
    [
        ("wide.mp4", (4112, 128), "libx264", "yuv420p"),
        ("wide.avi", (4112, 128), "mjpeg", "yuvj420p"),
        ("tall.avi", (4096, 2320), "mjpeg", "yuvj420p"),
    ],
)
def test_clip_of_larger_pictures_than_any_camera_makes_is_refused(
    tmp_path, name, size, codec, pix_fmt
):
    clip = drawn_clip(tmp_path / name, count=2, size=size, codec=codec, pix_fmt=pix_fmt)
    assert "4096 x 2304" in refusal(clip)


@pytest.mark.parametrize(
    ("name", "count", "size"),
    [("bikes.mp4", 250, (640, 272)), ("carphone_pristine.mp4", 120, (176, 144))],
)
def test_clip_of_the_demo_is_read_whole(name, count, size):
    if not (CLIPS / name).exists():
        pytest.skip(f"no {name}: run `make demo` once")
    frames = replayed(CLIPS / name)
    assert len(frames) == count
    assert {(frame.picture.width_px, frame.picture.height_px) for frame in frames} == {size}
    assert frames[0].picture.rgb(WHOLE, 64, 36).std() > 10
    gaps = [after.t_mono_ns - before.t_mono_ns for before, after in itertools.pairwise(frames)]
    assert all(gap > 0 for gap in gaps)
