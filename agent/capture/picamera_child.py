"""Runs under the system's Python and writes a Raspberry Pi camera's pictures to a pipe.

Standard library and picamera2 only, no import of the agent: Raspberry Pi OS ships picamera2 for
its own Python, with an older numpy than the agent's. Told `INDEX WIDTH HEIGHT LORES_WIDTH
LORES_HEIGHT FPS PIPE`, the last a file descriptor. Writes one line of JSON,
`{"main": [w, h, stride], "lores": [w, h, stride]}`, then for each picture 8 bytes (monotonic ns
when it was taken, big endian) and the two in I420.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from typing import Any, BinaryIO, NoReturn


def main(
    index: int, main_size: tuple[int, int], lores_size: tuple[int, int], fps: float, out: BinaryIO
) -> int:
    try:
        from picamera2 import Picamera2  # type: ignore[import-not-found]
    except ImportError as error:
        print(
            f"error: picamera2 is missing: apt install python3-picamera2 ({error})", file=sys.stderr
        )
        return 1
    if index >= len(Picamera2.global_camera_info()):
        print(f"error: no camera {index} is connected: check its ribbon cable", file=sys.stderr)
        return 1
    camera = Picamera2(index)
    camera.configure(
        camera.create_video_configuration(
            main={"size": main_size, "format": "YUV420"},
            lores={"size": lores_size, "format": "YUV420"},
            controls={"FrameRate": fps},
        )
    )
    camera.start()
    try:
        write_pictures(camera, out)
    except (BrokenPipeError, KeyboardInterrupt):  # the agent has gone, or wants no more
        return 0
    finally:
        camera.stop()


def write_pictures(camera: Any, out: BinaryIO) -> NoReturn:
    layout = {}
    for name in ("main", "lores"):
        stream = camera.camera_configuration()[name]
        layout[name] = [*stream["size"], stream["stride"]]
    out.write(json.dumps(layout).encode() + b"\n")
    while True:
        request = camera.capture_request()
        try:
            buffers = [request.make_buffer(name) for name in ("main", "lores")]
            stamp = taken_ns(request.get_metadata())
        finally:
            request.release()  # kept ones starve the camera
        out.write(struct.pack(">Q", stamp))
        for name, buffer in zip(("main", "lores"), buffers):  # noqa: B905 - Python 3.9 runs this too
            _, height, stride = layout[name]
            out.write(memoryview(buffer)[: height * stride * 3 // 2])
        out.flush()


def taken_ns(metadata: dict[str, int]) -> int:
    """Monotonic time of the exposure: the sensor stamps in boot time, which counts sleep too."""
    now = time.monotonic_ns()
    sensor = metadata.get("SensorTimestamp")
    if not sensor:
        return now
    return now - max(0, time.clock_gettime_ns(time.CLOCK_BOOTTIME) - sensor)


if __name__ == "__main__":
    camera_index, *sides, rate, pipe = (int(word) for word in sys.argv[1:])
    pictures = os.fdopen(pipe, "wb")
    sys.exit(main(camera_index, (sides[0], sides[1]), (sides[2], sides[3]), rate, pictures))
