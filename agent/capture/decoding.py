"""Decoders kept on a short lead: one thread, a ceiling on the picture's size."""

from __future__ import annotations

from collections import OrderedDict
from fractions import Fraction
from typing import Any

import av
from av.error import FFmpegError

from agent.capture.frames import MAX_PIXELS
from agent.capture.pictures import YuvPicture

_TICK = Fraction(1, 1000)  # any time base will do: the pts only has to come back with its picture
_REORDER_PICTURES = 32  # H.264 and H.265 hold back 16 pictures at most; the rest were never shown


def guard(context: av.CodecContext) -> None:
    """Limits a decoder that has not been opened yet."""
    # Each further thread keeps its own pictures: 3 MB a thread at 1080p, for a latency of a frame.
    context.thread_count = 1
    context.options = {"max_pixels": str(MAX_PIXELS)}


class Decoder:
    """Access units of one stream in, pictures with their tags out.

    `parameter_sets` are those that came outside the stream, as its container or SDP has them.
    """

    def __init__(self, codec: str, parameter_sets: bytes = b"") -> None:
        context = av.CodecContext.create(codec, "r")
        if not isinstance(context, av.VideoCodecContext):
            raise ValueError(f"{codec} is no video codec")
        guard(context)
        if parameter_sets:
            context.extradata = parameter_sets
        self._context = context
        self._taken_ns: OrderedDict[int, int] = OrderedDict()
        self._pts = 0

    def decode(self, unit: bytes, taken_ns: int) -> list[tuple[YuvPicture, int]]:
        """Pictures that this unit completes, each with the `taken_ns` of its own unit.

        A damaged unit gives none: the decoder goes on at the next keyframe.
        """
        packet = av.Packet(unit)
        self._pts += 1
        packet.pts = packet.dts = self._pts
        packet.time_base = _TICK
        self._taken_ns[self._pts] = taken_ns
        if len(self._taken_ns) > _REORDER_PICTURES:
            self._taken_ns.popitem(last=False)
        return self._decoded(packet, taken_ns)

    def flush(self) -> list[tuple[YuvPicture, int]]:
        """The pictures that the decoder still holds back; it takes no more units."""
        return self._decoded(None, 0)

    def _decoded(self, packet: Any, taken_ns: int) -> list[tuple[YuvPicture, int]]:
        try:
            return [
                (YuvPicture.from_av(frame), self._taken_ns.pop(frame.pts or 0, taken_ns))
                for frame in self._context.decode(packet)
            ]
        except FFmpegError:
            return []
