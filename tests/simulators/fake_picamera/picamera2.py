"""Stands in for Raspberry Pi OS's picamera2: what its child uses of it, and nothing more.

MISBEHAVE in the environment: `missing`, `unplugged`, `chatty`, or after two pictures `silent`,
`stuck` (silent, and deaf to interrupts), `dying`.
"""

import os
import signal
import sys
import time

import numpy as np

_HOW = os.environ.get("MISBEHAVE", "")
AGE_NS = 300_000_000  # of each picture when it is handed over
PADDING = 64

if _HOW == "missing":
    raise ImportError("No module named 'libcamera'")


class Picamera2:
    @staticmethod
    def global_camera_info():
        return [] if _HOW == "unplugged" else [{"Num": 0}]

    def __init__(self, index):
        assert index == 0
        self._out = self._taken = 0

    def create_video_configuration(self, *, main, lores, controls):
        assert main["format"] == lores["format"] == "YUV420"
        assert controls["FrameRate"] > 0
        return {"main": main, "lores": lores}

    def configure(self, configuration):
        self._configuration = {
            name: {**stream, "stride": stream["size"][0] + (PADDING if name == "lores" else 0)}
            for name, stream in configuration.items()
        }

    def camera_configuration(self):
        return self._configuration

    def start(self):
        print("libcamera: [0:12:34.5] INFO Camera: configuring", flush=True)

    def stop(self):
        print("stopped", flush=True)

    def capture_request(self):
        assert self._out == 0, "the request before was not released: the camera would starve"
        if self._taken == 2:
            self._misbehave()
        if _HOW == "chatty":
            print("chatter " * 20000, file=sys.stderr, flush=True)
            print("chatter " * 20000, flush=True)
        time.sleep(0.01)
        self._out += 1
        self._taken += 1
        return _Request(self)

    def _misbehave(self):
        if _HOW == "stuck":
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        if _HOW in ("silent", "stuck"):
            time.sleep(60)
        if _HOW == "dying":
            raise RuntimeError("Camera frontend has timed out!")


class _Request:
    def __init__(self, camera):
        self._camera = camera

    def make_buffer(self, name):
        """I420: luma falls from left to right, chroma is that of red; the padding is white."""
        stream = self._camera.camera_configuration()[name]
        (width, height), stride = stream["size"], stream["stride"]
        luma = np.full((height, stride), 235, np.uint8)
        luma[:, :width] = np.linspace(200, 50, width)
        chroma = [np.full((height // 2, stride // 2), 235, np.uint8) for _ in range(2)]
        chroma[0][:, : width // 2], chroma[1][:, : width // 2] = 100, 200
        tail = np.zeros(4096, np.uint8)  # buffers are whole pages
        return np.concatenate([luma.ravel(), *[plane.ravel() for plane in chroma], tail])

    def get_metadata(self):
        return {"SensorTimestamp": time.clock_gettime_ns(time.CLOCK_BOOTTIME) - AGE_NS}

    def release(self):
        self._camera._out -= 1
