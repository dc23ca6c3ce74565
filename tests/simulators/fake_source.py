"""A source that plays a script: frames, waits and errors, in manual time."""

import numpy as np

from agent.capture.frames import FrameMaker
from agent.capture.pictures import RgbPicture
from agent.errors import CaptureError


def noisy_picture(number=0):
    """Never the same twice, so that no watch calls it frozen."""
    pixels = np.random.default_rng(number).integers(0, 255, (90, 160, 3), dtype=np.uint8)
    return RgbPicture(pixels)


class FakeCamera:
    """Opens one script after the other; at the end of the last it calls `over`.

    A script is a list of: a number (frames at 10 a second for so many seconds), a picture (shown
    for a minute and more) or one with its seconds, or an error to raise. A script that is an
    error itself cannot be opened.
    """

    def __init__(self, clock, *scripts, over=lambda: None):
        self.clock = clock
        self.scripts = list(scripts)
        self.over = over
        self.opened_s = []
        self.closed = 0

    def __call__(self, camera, clock):
        self.opened_s.append(clock.now().mono_ns / 1e9)
        if not self.scripts:
            self.over()
            return _FakeSource(self, camera.camera_id, [])
        script = self.scripts.pop(0)
        if isinstance(script, CaptureError):
            raise script
        return _FakeSource(self, camera.camera_id, script)


class _FakeSource:
    def __init__(self, camera, camera_id, script):
        self._camera = camera
        self._script = script
        self._maker = FrameMaker(camera_id, camera.clock)

    def frames(self):
        for step in self._script:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, RgbPicture):
                step = (step, 90)
            still, seconds = step if isinstance(step, tuple) else (None, step)
            for number in range(round(seconds * 10)):
                self._camera.clock.advance(0.1)
                yield self._maker.now(still or noisy_picture(number % 50))

    def close(self):
        self._camera.closed += 1
