"""A real RTSP server (GStreamer's) as a child process; also the program that the child runs.

The child is the system's Python, which has the bindings (python3-gi, gir1.2-gst-rtsp-server-1.0).
It serves a drawn scene at /live (and a smaller one at /sub), prints its port once it listens, and
does as told on stdin: `stall` stops the pictures without closing anything, `methods` prints the
requests seen so far. Whose login it wants comes on stdin too, because a command line is public.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PYTHON = "/usr/bin/python3"
_NEEDED = (
    "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0');"
    "from gi.repository import Gst, GstRtspServer; Gst.init(None);"
    "assert all(Gst.ElementFactory.find(name) for name in {names!r})"
)
_ENCODERS = {
    "h264": ("x264enc", "x264enc tune=zerolatency speed-preset=ultrafast key-int-max={gop}"
             " bitrate={kbits} ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=1"),
    "h265": ("x265enc", "x265enc tune=zerolatency speed-preset=ultrafast key-int-max={gop}"
             " bitrate={kbits} ! h265parse ! rtph265pay name=pay0 pt=96 config-interval=1"),
    "mjpeg": ("jpegenc", "jpegenc quality=85 ! rtpjpegpay name=pay0 pt=26"),
    "vp8": ("vp8enc", "vp8enc deadline=1 ! rtpvp8pay name=pay0 pt=96"),
}  # fmt: skip
_CLOCK = " ! videoconvert ! rsvgoverlay name=clock ! videoconvert ! video/x-raw,format=I420"
_AUDIO = " audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay1 pt=8"


def missing(codec: str = "h264") -> str | None:
    """What a test needs and this machine lacks, in words; None when all is there."""
    names = (_ENCODERS[codec][0], "rsvgoverlay", "rtph264pay")
    try:
        asked = subprocess.run([_PYTHON, "-c", _NEEDED.format(names=names)], capture_output=True)
    except FileNotFoundError:
        return f"no {_PYTHON}"
    if asked.returncode:
        return (
            "no GStreamer RTSP server: install python3-gi gir1.2-gst-rtsp-server-1.0"
            " gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly gstreamer1.0-plugins-bad"
        )
    return None


class RtspServer:
    """The running child."""

    def __init__(self, child: subprocess.Popen[str], port: int, scheme: str) -> None:
        self._child = child
        self.port = port
        self.url = f"{scheme}://127.0.0.1:{port}/live"
        self.sub_url = f"{scheme}://127.0.0.1:{port}/sub"

    def stall(self) -> None:
        """Stops the pictures; the connections stay open."""
        self._tell("stall")

    def methods(self) -> list[str]:
        """Every request so far: method and last part of its address."""
        return self._tell("methods").split()

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()

    def _tell(self, words: str) -> str:
        assert self._child.stdin is not None and self._child.stdout is not None
        print(words, file=self._child.stdin, flush=True)
        return self._child.stdout.readline().strip()


@contextmanager
def rtsp_server(
    *options: str, port: int = 0, login: str = "", certificate: Path | None = None
) -> Iterator[RtspServer]:
    """Serves until the block ends; options as in `_arguments`, `login` is user:password.

    With a `certificate` (PEM, with its key) it speaks TLS.
    """
    scheme = "rtsps" if certificate else "rtsp"
    child = subprocess.Popen(
        [_PYTHON, __file__, "--port", str(port), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None and child.stdout is not None
    print(login, certificate or "", sep="\n", file=child.stdin, flush=True)
    try:
        yield RtspServer(child, int(child.stdout.readline()), scheme)
    finally:
        child.kill()
        child.wait()
        with suppress(BrokenPipeError):
            child.stdin.close()
        child.stdout.close()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--codec", choices=_ENCODERS, default="h264")
    parser.add_argument("--size", default="320x240")
    parser.add_argument("--fps", type=int, default=15)
    parser.add_argument("--gop", type=int, default=15)
    parser.add_argument("--kbits", type=int, default=500)
    parser.add_argument("--pattern", default="ball", help="of videotestsrc; smpte75 stands still")
    parser.add_argument("--clock", action="store_true", help="burn a ticking clock in")
    parser.add_argument("--audio", action="store_true", help="a sound track beside the video")
    parser.add_argument("--sub", default="", help="size of a second stream at /sub")
    parser.add_argument("--basic", action="store_true", help="ask for a basic login, not digest")
    return parser.parse_args()


def _launch(wanted: argparse.Namespace, size: str) -> str:
    width, height = size.split("x")
    return (
        f"( videotestsrc is-live=true pattern={wanted.pattern}"
        f" ! video/x-raw,format=I420,width={width},height={height},framerate={wanted.fps}/1"
        + (_CLOCK if wanted.clock else "")
        + f" ! identity name=tap ! {_ENCODERS[wanted.codec][1]}".format(
            gop=wanted.gop, kbits=wanted.kbits
        )
        + (_AUDIO if wanted.audio else "")
        + " )"
    )


def _clock_drawn(seconds: int, width: int, height: int) -> str:
    """The time of day as an SVG of seven-segment digits: it needs no fonts."""
    hours, minutes = seconds // 3600 % 24, seconds // 60 % 60
    lit = {
        "0": "abcdef", "1": "bc", "2": "abged", "3": "abgcd", "4": "fgbc",
        "5": "afgcd", "6": "afgedc", "7": "abc", "8": "abcdefg", "9": "abcdfg",
    }  # fmt: skip
    strokes = {
        "a": "M0 0H6", "b": "M6 0V6", "c": "M6 6V12", "d": "M0 12H6",
        "e": "M0 6V12", "f": "M0 0V6", "g": "M0 6H6",
    }  # fmt: skip
    digits = "".join(
        f'<g transform="translate({8 + 10 * place} 8)">'
        + "".join(f'<path d="{strokes[name]}"/>' for name in lit[digit])
        + "</g>"
        for place, digit in enumerate(f"{hours:02}{minutes:02}{seconds % 60:02}")
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
        f'<g stroke="white" stroke-width="2" fill="none">{digits}</g></svg>'
    )


def _serve(wanted: argparse.Namespace) -> None:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtsp", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer

    login, certificate = (sys.stdin.readline().strip() for _ in range(2))
    Gst.init(None)
    stalled = [False]
    seen: list[str] = []

    def configured(_factory: object, media: object, size: str) -> None:
        element = media.get_element()  # type: ignore[attr-defined]
        pad = element.get_by_name("tap").get_static_pad("src")
        drop, keep = Gst.PadProbeReturn.DROP, Gst.PadProbeReturn.OK
        pad.add_probe(Gst.PadProbeType.BUFFER, lambda *_: drop if stalled[0] else keep)
        clock = element.get_by_name("clock")
        if clock:
            sides = [int(side) for side in size.split("x")]

            def tick() -> bool:
                clock.set_property("data", _clock_drawn(int(time.time()), *sides))
                return True

            tick()
            GLib.timeout_add(500, tick)

    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(wanted.port))
    auth = GstRtspServer.RTSPAuth()
    if login:
        user, _, password = login.partition(":")
        token = GstRtspServer.RTSPToken()
        token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
        if wanted.basic:
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
        else:
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            auth.add_digest(user, password, token)
    if certificate:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(certificate))
    if login or certificate:
        server.set_auth(auth)

    for path, size in (("/live", wanted.size), ("/sub", wanted.sub)):
        if not size:
            continue
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(_launch(wanted, size))
        factory.set_shared(True)
        factory.connect("media-configure", configured, size)
        if login:
            permissions = GstRtspServer.RTSPPermissions()
            permissions.add_permission_for_role("viewer", "media.factory.access", True)
            permissions.add_permission_for_role("viewer", "media.factory.construct", True)
            factory.set_permissions(permissions)
        server.get_mount_points().add_factory(path, factory)

    def connected(_server: object, client: object) -> None:
        for method in ("describe", "setup", "play", "get-parameter", "teardown"):
            client.connect(  # type: ignore[attr-defined]
                f"{method}-request",
                lambda _client, ctx, name=method: seen.append(
                    f"{name}:{ctx.uri.abspath.rsplit('/', 1)[-1]}"
                ),
            )

    server.connect("client-connected", connected)
    server.attach(None)
    print(server.get_bound_port(), flush=True)

    def told(channel: object, _condition: object) -> bool:
        words = sys.stdin.readline().strip()
        if words == "stall":
            stalled[0] = True
        print(" ".join(seen) if words == "methods" else "ok", flush=True)
        return bool(words)

    GLib.io_add_watch(sys.stdin.fileno(), GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN, told)
    GLib.MainLoop().run()


if __name__ == "__main__":
    _serve(_arguments())
