"""Video: six drawn cars drive by, and each is read once; the real models and the real chain."""

import subprocess

from daemon import MAHALLA

from agent.demo import DRIVE_BY
from agent.infer.package import models_dir

PLATES = ["10U202OW", "75A055KA", "70A522GG", "25A464JN", "90S909MA", "70X065JG"]


def test_each_car_that_drives_by_is_read_once_and_the_sign_and_the_clock_never():
    clip = models_dir() / DRIVE_BY
    done = subprocess.run(
        [MAHALLA, "replay", str(clip), "--role", "plate", "--show-plates"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    told = [line.split() for line in done.stderr.splitlines() if line.startswith("plate ")]
    assert len(told) == len(PLATES)
    read = [words[3] for words in told if words[3] != "not"]
    assert read == [text for text in PLATES if text in read]  # in their order, none of them wrong
    assert len(read) >= len(PLATES) - 1
    assert not any(text in done.stdout for text in PLATES)  # on no list: it does not leave
