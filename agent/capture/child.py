"""A child process that makes pictures and writes them to a pipe of its own."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from agent.capture.frames import Patience
from agent.errors import CaptureError

# A child that configures a sensor or a hardware decoder takes some seconds to its first picture.
PATIENT = Patience(open_s=20.0)
_STOP_S = 0.8  # to let go of the camera when asked to; then it is killed. A box stops in 1.2 s
_REAP_S = 1.0  # for what has been killed or has ended; one stuck in the kernel is left to it
_WAKE_S = 0.1  # how late a reader of a silent child notices that it shall stop
# Of what it prints, kept for the one line that tells why it ended: the first errors name the
# cause, those that follow only what came of it.
_SAID_ERRORS = 3
_SAID_CHARACTERS = 300
_USER_IN_URL = re.compile(r"://[^/@\s]+@")


class FrameChild:
    """The running child; its pictures are read in exact sizes, against the clock.

    `command` is told the number of the file descriptor to write to. It is not standard output,
    because camera libraries print there (libcamera, NVIDIA's argus) between the pictures.
    A child that `polls` before it writes gets a pipe that never blocks it: one that is stuck in a
    full pipe does not hear that it shall stop, and would have to be killed, camera and all.
    """

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        what: str,
        environment: Mapping[str, str] | None = None,
        *,
        polls: bool = False,
    ) -> None:
        self._what = what
        ours, theirs = os.pipe()
        self._pipe = os.fdopen(ours, "rb", buffering=0)
        os.set_blocking(theirs, not polls)
        words = list(command(theirs))
        try:
            self._child = subprocess.Popen(  # noqa: S603 - an argument list, no shell
                [*_leash(words[0]), *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs,),
                env=environment,
                start_new_session=True,  # Ctrl-C is for the agent, which then stops its children
            )
        except OSError as error:
            self._pipe.close()
            raise CaptureError(f"{words[0]}: cannot be started: {error.strerror}") from None
        finally:
            os.close(theirs)
        self._kill_s: float | None = None  # monotonic; set once it was asked to stop
        self._errors: list[str] = []
        self._said = "ended without a word"
        self._listener = threading.Thread(target=self._listen, name=f"said {what}", daemon=True)
        self._listener.start()

    def read(self, size_bytes: int, within_s: float) -> bytearray:
        """Exactly so many bytes; CaptureError when the child ends or falls silent."""
        taken = bytearray(size_bytes)
        self._fill(memoryview(taken), time.monotonic() + within_s, within_s)
        return taken

    def read_line(self, within_s: float, most_bytes: int = 256) -> bytes:
        """A line without its end; byte by byte, because lines are short and pictures long."""
        line, byte = bytearray(), bytearray(1)
        deadline_s = time.monotonic() + within_s
        while not line.endswith(b"\n"):
            if len(line) > most_bytes:
                raise CaptureError(f"{self._what}: does not write pictures")
            self._fill(memoryview(byte), deadline_s, within_s)
            line += byte
        return bytes(line[:-1])

    def _fill(self, taken: memoryview, deadline_s: float, within_s: float) -> None:
        filled = 0
        while filled < len(taken):
            self._wait_for_more(deadline_s, within_s)
            count = self._pipe.readinto(taken[filled:])
            if not count:
                raise CaptureError(f"{self._what}: {self._last_words()}")
            filled += count

    def _wait_for_more(self, deadline_s: float, within_s: float) -> None:
        while self._kill_s is None:
            left_s = max(0.0, deadline_s - time.monotonic())
            if select.select([self._pipe], [], [], min(left_s, _WAKE_S))[0]:
                return
            if left_s <= _WAKE_S:
                raise CaptureError(f"{self._what}: no picture for {within_s:.0f} s")
        raise CaptureError(f"{self._what}: closed")

    def stop(self) -> None:
        """Asks the child to end and wakes its reader, who then releases it; waits for nothing."""
        if self._kill_s is None:
            self._kill_s = time.monotonic() + _STOP_S
            # An interrupt, because gst-launch and Python both clean up after one.
            self._child.send_signal(signal.SIGINT)

    def release(self) -> None:
        """Ends and reaps the child and closes the pipes, once nobody reads any more."""
        self.stop()
        assert self._kill_s is not None
        if not self._ends_within(self._kill_s - time.monotonic()):
            self._child.kill()
            self._ends_within(_REAP_S)
        self._listener.join(_REAP_S)
        self._pipe.close()

    def _ends_within(self, seconds: float) -> bool:
        try:
            self._child.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return False
        return True

    def _listen(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as printed:
            for line in iter(lambda: printed.readline(_SAID_CHARACTERS), b""):
                text = _USER_IN_URL.sub("://", line.decode("utf-8", "replace").strip())
                self._said = text or self._said
                new = "error" in text.lower() and text not in self._errors
                if new and len(self._errors) < _SAID_ERRORS:
                    self._errors.append(text)

    def _last_words(self) -> str:
        """Its lines that name an error, else its last line: what the child said, cut short."""
        self._ends_within(_REAP_S)
        self._listener.join(_REAP_S)
        return "; ".join(self._errors or [self._said])[:_SAID_CHARACTERS]


def _leash(program: str) -> list[str]:
    """What makes the kernel end the child with the thread that started it, even by `kill -9`.

    `setpriv` is part of util-linux; without it a child ends at the next picture that it cannot
    write. A missing program is left to `Popen`, whose error names it.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv and shutil.which(program) else []
