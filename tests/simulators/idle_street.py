"""A street at rest, coded as cameras code it, through which somebody walks now and then.

Drawn here, so that it is known who passes when; the noise is drawn anew for each picture.
"""

from fractions import Fraction

import av
import cv2
import numpy as np

from agent.capture.rtp import AccessUnit

NS = 10**9


class Street:
    """Pictures of one street; `passers` are (begins at s, height px, widths a second)."""

    def __init__(self, size=(640, 360), *, fps=10, noise=0.7, clock=False, passers=(), seed=0):
        self.size, self.fps, self.clock, self.passers = size, fps, clock, passers
        self._rng = np.random.default_rng(seed)
        self._backdrop = _backdrop(size, self._rng)
        shape = size[1] + 64, size[0] + 64
        grain = [self._rng.normal(0, noise, shape).astype(np.float32) for _ in range(4)]
        self._grain = [np.rint(each).astype(np.int8) for each in grain]

    def luma(self, number):
        picture = self._backdrop.copy()
        for begins_s, height_px, speed in self.passers:
            since_s = number / self.fps - begins_s
            if since_s >= 0:
                _draw(picture, round(since_s * speed * self.size[0]) - height_px, height_px)
        y, x = self._rng.integers(64, size=2)
        grain = self._grain[self._rng.integers(4)][y : y + self.size[1], x : x + self.size[0]]
        picture = cv2.add(picture, grain, dtype=cv2.CV_8U)
        if self.clock:
            words = f"2026-01-31 08:{number // self.fps // 60:02}:{number // self.fps % 60:02}"
            place, scale = (12, 24), self.size[0] / 1280
            cv2.putText(picture, words, place, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 1)
        return picture

    def pictures(self, seconds):
        return (self.luma(number) for number in range(round(seconds * self.fps)))

    def there(self, t_s):
        """Whether any part of a passer is in the picture."""
        return any(
            0 <= (t_s - begins_s) * speed * self.size[0] <= self.size[0] + 2 * height_px
            for begins_s, height_px, speed in self.passers
        )


def coded(pictures, size, *, fps=10, codec="libx264", gop_s=2.0, kbits=None, quality=24):
    """Access units of these pictures (luma): VBR of a `quality`, CBR of so many `kbits`."""
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", Fraction(1, fps), fps
    encoder.thread_count = 1
    keyint = round(gop_s * fps)
    asked = f"keyint={keyint}:min-keyint={keyint}:scenecut=0:bframes=0"
    if codec == "libx265":
        asked += ":repeat-headers=1:log-level=none:pools=1"
    encoder.options = {"preset": "veryfast", "tune": "zerolatency"}
    if kbits:
        encoder.bit_rate = kbits * 1000
        asked += f":vbv-maxrate={kbits}:vbv-bufsize={kbits}"
    else:
        encoder.options |= {"crf": str(quality)}
    encoder.options |= {codec.removeprefix("lib") + "-params": asked}
    grey = np.full((size[1] // 2, size[0]), 128, np.uint8)
    for number, luma in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(np.vstack([luma, grey]), format="yuv420p")
        frame.pts = number
        for packet in encoder.encode(frame):
            yield AccessUnit(
                coded=bytes(packet), keyframe=packet.is_keyframe, taken_ns=number * NS // fps
            )


def _backdrop(size, rng):
    width, height = size
    picture = np.full((height, width), 150, np.float32)
    picture[height * 2 // 5 :] = 95
    for sigma, contrast in ((1.5, 40), (6, 60), (25, 120)):
        rough = rng.normal(0, contrast, (height, width)).astype(np.float32)
        picture += cv2.GaussianBlur(rough, (0, 0), sigma)
    for x in range(0, width, width // 8):
        cv2.rectangle(picture, (x, height // 5), (x + width // 16, height * 2 // 5), 60, -1)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _draw(picture, x, height_px):
    """Head, coat and legs, walking along a line at three quarters of the height."""
    rows, columns = picture.shape
    foot, width_px = rows * 3 // 4, height_px * 2 // 5
    if -width_px < x < columns:
        top = foot - height_px
        head = height_px // 8
        cv2.circle(picture, (x + width_px // 2, top + head), head, 190, -1)
        cv2.rectangle(picture, (x, top + 2 * head), (x + width_px, top + 5 * head), 45, -1)
        cv2.rectangle(
            picture, (x + width_px // 5, top + 5 * head), (x + width_px * 4 // 5, foot), 70, -1
        )
