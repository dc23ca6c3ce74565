"""Which source a camera's `source:` opens."""

import pytest
from drawn import drawn_clip

from agent.capture.clip import ClipSource
from agent.capture.sources import KINDS, open_source
from agent.capture.stream import RtspSource
from agent.capture.synthetic import SyntheticSource
from agent.clock import ManualClock
from agent.config.model import CameraConfig
from agent.errors import CaptureError


def opened(source, *, realtime=True, **more):
    config = CameraConfig(camera_id="gate", roles=("face",), source=source, **more)
    return open_source(config, ManualClock(), realtime=realtime)


@pytest.mark.parametrize("realtime", [True, False])
def test_clip_and_scene_open_for_a_camera_and_for_replay(tmp_path, realtime):
    clip = drawn_clip(tmp_path / "a:b.mp4", count=2)
    assert isinstance(opened(f"clip:{clip}", realtime=realtime), ClipSource)
    scene = opened("synthetic:street?fps=5", realtime=realtime)
    assert isinstance(scene, SyntheticSource)
    assert next(scene.frames()).camera_id == "gate"


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps"])
def test_stream_opens_without_a_word_to_the_camera(scheme):
    source = opened(f"{scheme}://192.0.2.1/live", detect_source=f"{scheme}://192.0.2.1/sub")
    assert isinstance(source, RtspSource)
    source.close()


@pytest.mark.parametrize(
    "source", ["rtsp://cam/1", "v4l2:/dev/video0", "gst:videotestsrc", "picamera:0"]
)
def test_camera_cannot_be_replayed(source):
    with pytest.raises(CaptureError, match="is a camera: only clips"):
        opened(source, realtime=False)


@pytest.mark.parametrize("source", ["", "webcam", "http://cam/1", "file:/x.mp4", "RTSP://cam/1"])
def test_unknown_kind_says_which_there_are(source):
    with pytest.raises(CaptureError, match="there are " + ", ".join(KINDS)):
        opened(source)


@pytest.mark.parametrize(
    "source", ["clip:", "clip:/nonexistent.mp4", "v4l2:/dev/video99", "gst:", "picamera:x"]
)
def test_source_that_cannot_be_opened_is_one_clear_line(source):
    with pytest.raises(CaptureError) as caught:
        opened(source)
    assert "\n" not in str(caught.value)


def test_password_file_of_a_stream_is_read_before_the_camera_is_asked(tmp_path):
    with pytest.raises(CaptureError, match="cannot read the camera's password"):
        opened("rtsp://192.0.2.1/live", auth=tmp_path / "none.cred")
