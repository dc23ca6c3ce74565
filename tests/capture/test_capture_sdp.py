"""What a camera says it offers: the one video track, and nothing else."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.capture.sdp import CODECS, video_track
from agent.errors import CaptureError

BASE = "rtsp://10.0.0.21/live/"
SPS, PPS = b"\x67\x42\x00\x1e", b"\x68\xce\x38\x80"
CAMERA = f"""v=0
o=- 1 1 IN IP4 10.0.0.21
s=Media Presentation
c=IN IP4 0.0.0.0
a=control:*
m=audio 0 RTP/AVP 8
a=control:trackID=2
a=rtpmap:8 PCMA/8000
m=video 0 RTP/AVP 96 97
a=rtpmap:97 VP8/90000
a=rtpmap:96 H264/90000
a=fmtp:97 sprop-parameter-sets=AAAA
a=fmtp:96 packetization-mode=1; sprop-parameter-sets={base64.b64encode(SPS).decode()},\
{base64.b64encode(PPS).decode()}
a=control:trackID=1
m=application 0 RTP/AVP 107
a=control:trackID=3
a=rtpmap:107 vnd.onvif.metadata/90000
""".replace("\n", "\r\n")


def video(*lines, number=96):
    return "\n".join(["v=0", f"m=video 0 RTP/AVP {number}", *lines])


def test_camera_with_sound_and_metadata_gives_its_video_alone():
    track = video_track(CAMERA, BASE)
    assert (track.codec, track.payload_type) == ("h264", 96)
    assert track.control_url == BASE + "trackID=1"
    assert track.parameter_sets == b"\0\0\0\1" + SPS + b"\0\0\0\1" + PPS


@pytest.mark.parametrize(
    ("name", "codec"), [("H264", "h264"), ("h264", "h264"), ("H265", "hevc"), ("JPEG", "mjpeg")]
)
def test_three_codecs_are_known_in_either_case(name, codec):
    assert video_track(video(f"a=rtpmap:96 {name}/90000"), BASE).codec == codec


def test_jpeg_needs_no_rtpmap():
    assert video_track(video(number=26), BASE).codec == "mjpeg"


def test_second_video_lends_nothing_to_the_first():
    second = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:second"
    track = video_track(video(second, number=26), BASE)
    assert (track.codec, track.control_url) == ("mjpeg", BASE)


def test_h265_parameter_sets_come_in_their_order():
    coded = [base64.b64encode(name).decode() for name in (b"vps", b"sps", b"pps")]
    fmtp = f"a=fmtp:96 sprop-vps={coded[0]}; sprop-sps={coded[1]}; sprop-pps={coded[2]}"
    track = video_track(video("a=rtpmap:96 H265/90000", fmtp), BASE)
    assert track.parameter_sets == b"\0\0\0\1vps\0\0\0\1sps\0\0\0\1pps"


@pytest.mark.parametrize("text", ["!!!", "AAA", "é", "=", "A A"])
def test_parameter_sets_that_are_no_base64_are_left_out(text):
    fmtp = f"a=fmtp:96 sprop-parameter-sets={text},{base64.b64encode(SPS).decode()}"
    track = video_track(video("a=rtpmap:96 H264/90000", fmtp), BASE)
    assert track.parameter_sets.endswith(SPS)


@pytest.mark.parametrize(
    ("control", "url"),
    [
        (None, BASE),
        ("*", BASE),
        ("trackID=1", BASE + "trackID=1"),
        ("rtsp://10.0.0.21/live/trackID=1", "rtsp://10.0.0.21/live/trackID=1"),
    ],
)
def test_control_is_resolved_against_the_base(control, url):
    lines = ["a=rtpmap:96 H264/90000"] + ([f"a=control:{control}"] if control else [])
    assert video_track(video(*lines), BASE).control_url == url
    assert video_track(video(*lines), BASE.rstrip("/")).control_url.rstrip("/") == url.rstrip("/")


@pytest.mark.parametrize(
    "text",
    ["", "v=0", "m=audio 0 RTP/AVP 8", "m=video", "m=video 0 RTP/AVP", "m=video 0 RTP/AVP x"],
)
def test_description_without_video_is_refused(text):
    with pytest.raises(CaptureError, match="offers no video"):
        video_track(text, BASE)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("VP8", "VP8"),
        ("MPV", "MPV"),
        ("MP4V-ES", "MP4VES"),
        ("theora", "THEORA"),
        ("\x1b[31mх", "31M"),
        ("A" * 500, "A" * 16),
        ("", "unknown codec"),
    ],
)
def test_codec_that_is_not_decoded_is_refused_by_its_plain_letters(name, shown):
    with pytest.raises(CaptureError) as caught:
        video_track(video(f"a=rtpmap:96 {name}/90000"), BASE)
    text = str(caught.value)
    assert shown in text
    assert "\x1b" not in text
    assert len(text) < 200


def test_dynamic_type_without_rtpmap_is_refused():
    with pytest.raises(CaptureError, match="unknown codec"):
        video_track(video(), BASE)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=400))
def test_any_text_gives_a_track_or_a_capture_error(text):
    _parsed_or_refused(text)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(CAMERA)), st.integers(0, 30), st.text(max_size=30)),
        min_size=1,
        max_size=6,
    )
)
def test_damaged_description_gives_a_track_or_a_capture_error(edits):
    text = CAMERA
    for at, length, instead in edits:
        text = text[:at] + instead + text[at + length :]
    _parsed_or_refused(text)


def _parsed_or_refused(text):
    try:
        track = video_track(text, BASE)
    except CaptureError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 300
        return
    assert track.codec in CODECS.values()
    assert 0 <= track.payload_type <= 999
    assert len(track.parameter_sets) <= 2 * len(text) + 4
