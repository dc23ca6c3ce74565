"""USB cameras, through OpenCV: what is asked of the device, and what breaks."""

import itertools
import threading

import cv2
import numpy as np
import pytest

from agent.capture.v4l2 import V4l2Source
from agent.clock import ManualClock
from agent.errors import CaptureError
from agent.records import WHOLE


class FakeDevice:
    """What the source uses of cv2.VideoCapture: a device that has 1280 x 720 at most."""

    def __init__(self, *, opens=True, size=(1280, 720), reads=10**6):
        self.asked = {}
        self.released = 0
        self._opens = opens
        self._size = size
        self._reads = reads

    def __call__(self, device):
        self.device = device
        return self

    def isOpened(self):
        return self._opens

    def set(self, what, value):
        assert self._opens
        self.asked[what] = value
        return True

    def read(self):
        assert not self.released
        if not self._reads:
            return False, None
        self._reads -= 1
        pixels = np.zeros((self._size[1], self._size[0], 3), np.uint8)
        pixels[:] = (10, 20, 200)  # blue, green, red
        return True, pixels

    def release(self):
        self.released += 1


@pytest.fixture
def node(tmp_path):
    path = tmp_path / "video0"
    path.touch()
    return str(path)


def test_device_gives_its_pictures_in_the_colours_of_the_house(node):
    device = FakeDevice()
    source = V4l2Source("c", node, ManualClock(), device)
    frames = list(itertools.islice(source.frames(), 3))
    assert [frame.seq for frame in frames] == [1, 2, 3]
    assert (frames[0].picture.width_px, frames[0].picture.height_px) == (1280, 720)
    assert frames[0].picture.rgb(WHOLE, 1, 1)[0, 0].tolist() == [200, 20, 10]


def test_device_is_asked_for_a_compressed_full_hd_and_no_old_pictures(node):
    device = FakeDevice()
    V4l2Source("c", node, ManualClock(), device)
    assert device.device == node
    assert device.asked == {
        cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"MJPG"),
        cv2.CAP_PROP_FRAME_WIDTH: 1920,
        cv2.CAP_PROP_FRAME_HEIGHT: 1080,
        cv2.CAP_PROP_BUFFERSIZE: 1,
    }


def test_device_unplugged_is_a_capture_error_and_is_let_go_of(node):
    device = FakeDevice(reads=2)
    frames = V4l2Source("c", node, ManualClock(), device).frames()
    assert len(list(itertools.islice(frames, 2))) == 2
    with pytest.raises(CaptureError, match="unplugged"):
        next(frames)
    assert device.released == 1


def test_device_closed_from_another_thread_ends_at_the_next_picture(node):
    device = FakeDevice()
    source = V4l2Source("c", node, ManualClock(), device)
    frames = source.frames()
    next(frames)
    closer = threading.Thread(target=source.close)
    closer.start()
    closer.join()
    assert list(frames) == []
    assert device.released == 1


def test_device_of_larger_pictures_than_any_camera_makes_is_refused(node):
    device = FakeDevice(size=(4112, 100))
    with pytest.raises(CaptureError, match="4096 x 2304"):
        next(V4l2Source("c", node, ManualClock(), device).frames())
    assert device.released == 1


def test_device_that_does_not_open_says_what_may_be_wrong(node):
    device = FakeDevice(opens=False)
    with pytest.raises(CaptureError, match="in use, or not allowed"):
        V4l2Source("c", node, ManualClock(), device)
    assert device.released == 1


def test_device_that_is_not_there_is_one_clear_error():
    with pytest.raises(CaptureError, match=r"/dev/video99: no such device"):
        V4l2Source("c", "/dev/video99", ManualClock())


def test_file_that_is_no_camera_is_refused_by_opencv_itself(node):
    with pytest.raises(CaptureError, match="not a camera"):
        V4l2Source("c", node, ManualClock())
