"""`rtsp(s)://`: the detection stream decoded as it comes, the main stream only when looked at."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

from agent.capture.attention import Attention
from agent.capture.backoff import Backoff
from agent.capture.credentials import Credentials, read_credentials
from agent.capture.decoding import Decoder
from agent.capture.frames import MAX_HEIGHT_PX, MAX_WIDTH_PX, PATIENT, FrameMaker, Patience
from agent.capture.kept import KeptUnits
from agent.capture.pictures import YuvPicture
from agent.capture.rtp import AccessUnit
from agent.capture.rtsp import RtspSession
from agent.capture.sdp import VideoTrack
from agent.capture.sleeper import LOOKBACK_S, Sleeper
from agent.clock import Clock
from agent.config.model import CameraConfig
from agent.errors import CaptureError
from agent.records import Box, Frame, Image, Picture

log = logging.getLogger(__name__)

# A frame of a camera that catches up is as old as it looks back; all are looked at two seconds
# later at most. Until then the keyframe before them is kept.
_LATE_LOOK_NS = round((LOOKBACK_S + 2.0) * 1e9)
# Further apart than this the two streams show different moments, and a crop would miss its car.
_SAME_MOMENT_NS = 1_000_000_000


class RtspSource:
    """One camera over RTSP; with a `detect_source` the frames are its, `main` the main stream's."""

    def __init__(
        self,
        camera: CameraConfig,
        clock: Clock,
        patience: Patience = PATIENT,
        progress: Callable[[], None] = lambda: None,
        attention: Attention | None = None,
    ) -> None:
        credentials = read_credentials(camera.auth) if camera.auth else None
        self._maker = FrameMaker(camera.camera_id, clock)
        self._patience = patience
        self._progress = progress
        self._attention = attention
        self._session = RtspSession(camera.detect_source or camera.source, credentials, patience)
        self._main = None
        if camera.detect_source:
            self._main = MainStream(camera.camera_id, camera.source, credentials, patience)

    def frames(self) -> Iterator[Frame | None]:
        picture_s = self._patience.picture_s
        try:
            track = self._session.open(self._progress)
            if self._main:
                self._main.start()
            sleeper = self._sleeper(track)
            pictured_s = time.monotonic()
            for unit in self._session.units():
                if self._main:
                    self._main.check()
                for taken in sleeper.feed(unit):
                    yield self._frame(*taken) if taken else None
                    pictured_s = time.monotonic()
                if time.monotonic() - pictured_s > picture_s:
                    raise CaptureError(
                        f"no picture for {picture_s:.0f} s: what the camera sends is damaged"
                        f" or larger than {MAX_WIDTH_PX} x {MAX_HEIGHT_PX}"
                    )
        finally:
            self._session.release()

    def close(self) -> None:
        self._session.close()
        if self._main:
            self._main.close()

    def _sleeper(self, track: VideoTrack) -> Sleeper:
        def decoder() -> Decoder:
            return Decoder(track.codec, track.parameter_sets)

        return Sleeper(self._maker.camera_id, decoder, self._attention)

    def _frame(self, picture: YuvPicture, taken_ns: int) -> Frame:
        main = self._main.view(taken_ns, picture) if self._main else None
        return self._maker.now(picture, age_ns=time.monotonic_ns() - taken_ns, main=main)


class MainStream:
    """Keeps the main stream's packets since a keyframe; decodes them when asked.

    Taking the packets off the wire costs a hundredth of decoding them, so a camera pays for its
    full resolution only while somebody cuts crops out of it.
    """

    def __init__(
        self, camera_id: str, url: str, credentials: Credentials | None, patience: Patience
    ) -> None:
        self._camera_id = camera_id
        self._url = url
        self._credentials = credentials
        self._patience = patience
        self._kept = KeptUnits(_LATE_LOOK_NS)
        self._kept_lock = threading.Lock()
        self._decoding_lock = threading.Lock()
        self._decoder: Decoder | None = None
        self._parameter_sets = b""
        self._codec = ""
        self._decoded_ns = 0  # the unit decoded last
        self._latest: tuple[YuvPicture, int] | None = None
        self._session: RtspSession | None = None
        self._stopping = threading.Event()
        name = f"main {camera_id}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._said = ""  # what its last loss was logged as

    def start(self) -> None:
        """Begins to read, in a thread of its own that ends with `close`."""
        self._thread.start()

    def check(self) -> None:
        """CaptureError when its thread died of a bug, so that both streams are opened anew."""
        if not self._thread.is_alive() and not self._stopping.is_set():
            raise CaptureError("the main stream's reader died: its traceback is in the log")

    def view(self, taken_ns: int, instead: Picture) -> Picture | None:
        """The main picture of that moment, to be decoded when touched; None with no stream."""
        with self._kept_lock:
            there = any(abs(unit.taken_ns - taken_ns) <= _SAME_MOMENT_NS for unit in self._kept)
        if not there:
            return None
        return _MainPicture(self, taken_ns, instead)

    def close(self) -> None:
        self._stopping.set()
        session = self._session
        if session is not None:
            session.close()

    def picture_at(self, taken_ns: int) -> YuvPicture | None:
        """Decodes up to the unit nearest in time; None when it is gone or damaged."""
        with self._decoding_lock:
            with self._kept_lock:
                units = list(self._kept)
                decoder = self._started_decoder()
            if not units or decoder is None:
                return None
            nearest = min(units, key=lambda unit: abs(unit.taken_ns - taken_ns))
            self._decode(decoder, units, nearest.taken_ns)
            if self._latest and abs(self._latest[1] - taken_ns) <= _SAME_MOMENT_NS:
                return self._latest[0]
            return None

    def _started_decoder(self) -> Decoder | None:
        if self._decoder is None and self._codec:
            self._decoder = Decoder(self._codec, self._parameter_sets)
            self._decoded_ns, self._latest = 0, None
        return self._decoder

    def _decode(self, decoder: Decoder, units: list[AccessUnit], until_ns: int) -> None:
        """Goes on where the last look stopped, or starts at the keyframe that came since."""
        keys_ns = [unit.taken_ns for unit in units if unit.keyframe and unit.taken_ns <= until_ns]
        after_ns = max([self._decoded_ns, *(key_ns - 1 for key_ns in keys_ns)])
        for unit in units:
            if after_ns < unit.taken_ns <= until_ns:
                pictures = decoder.decode(unit.coded, unit.taken_ns)
                self._latest = pictures[-1] if pictures else self._latest
                self._decoded_ns = unit.taken_ns

    def _run(self) -> None:
        backoff = Backoff()
        while not self._stopping.is_set():
            started_s = time.monotonic()
            try:
                self._read()
            except CaptureError as error:
                if self._stopping.is_set():
                    return
                if self._said != str(error):
                    log.warning("camera %s: main stream: %s", self._camera_id, error)
                self._said = str(error)
                self._stopping.wait(backoff.after(error, time.monotonic() - started_s))

    def _read(self) -> None:
        self._session = session = RtspSession(self._url, self._credentials, self._patience)
        if self._stopping.is_set():
            session.close()
        try:
            track = session.open()
            with self._kept_lock:
                self._codec, self._parameter_sets = track.codec, track.parameter_sets
                self._decoder = None
            for unit in session.units():
                self._keep(unit)
        finally:
            with self._kept_lock:
                self._kept.clear()
            session.release()

    def _keep(self, unit: AccessUnit) -> None:
        if self._said:
            log.info("camera %s: main stream: connected", self._camera_id)
            self._said = ""
        with self._kept_lock:
            self._kept.add(unit)


class _MainPicture:
    """A picture of the main stream that is decoded at the first look."""

    def __init__(self, stream: MainStream, taken_ns: int, instead: Picture) -> None:
        self._stream = stream
        self._taken_ns = taken_ns
        self._instead = instead
        self._picture: Picture | None = None

    def _look(self) -> Picture:
        if self._picture is None:
            # The small picture of the same moment is better than none.
            self._picture = self._stream.picture_at(self._taken_ns) or self._instead
        return self._picture

    @property
    def width_px(self) -> int:
        return self._look().width_px

    @property
    def height_px(self) -> int:
        return self._look().height_px

    def luma(self, width_px: int | None = None) -> Image:
        return self._look().luma(width_px)

    def rgb(self, box: Box, width_px: int, height_px: int) -> Image:
        return self._look().rgb(box, width_px, height_px)
