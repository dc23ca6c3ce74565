"""Cameras over RTSP that show one clip over and over, at its pace; prints its address.

    .venv/bin/python tests/bench/stream_server.py CLIP

A process of its own, so that what it costs is not counted with who reads it.
"""

from __future__ import annotations

import sys
import time
from fractions import Fraction
from pathlib import Path

import av
from av.bitstream import BitStreamFilterContext

sys.path.insert(0, str(Path(__file__).parents[1] / "simulators"))

from rtp_packer import RtpPacker
from scripted_camera import ScriptedCamera, interleaved

_CLOCK_HZ = 90_000


def main() -> None:
    units, fps, codec = _read(sys.argv[1])

    def play(connection) -> None:
        packer, began_s, number = RtpPacker(codec), time.monotonic(), 0
        while not connection.ended.is_set():
            timestamp = round(number * _CLOCK_HZ / fps)
            packets = packer.pack(units[number % len(units)], timestamp)
            connection.send(b"".join(interleaved(packet) for packet in packets))
            number += 1
            connection.wait(max(0.0, began_s + float(number / fps) - time.monotonic()))

    with ScriptedCamera(codec=codec, play=play) as camera:
        print(camera.url, flush=True)
        sys.stdin.read()


def _read(path: str) -> tuple[list[bytes], Fraction, str]:
    """Coded pictures as cameras send them, with their parameter sets before each keyframe."""
    with av.open(path) as file:
        stream = file.streams.video[0]
        codec = stream.codec_context.name
        plain = BitStreamFilterContext(f"{codec}_mp4toannexb", stream)
        units = [
            bytes(each)
            for packet in file.demux(stream)
            if packet.size
            for each in plain.filter(packet)
        ]
        assert stream.average_rate is not None
        return units, stream.average_rate, codec


if __name__ == "__main__":
    main()
