"""Video: six drawn cars drive by, and each is read once; the real models and the real chain."""

import subprocess

import pytest
from daemon import MAHALLA

from agent.demo import DRIVE_BY, _reads_plates
from agent.infer.package import models_dir

PLATES = ["10U202OW", "75A055KA", "70A522GG", "25A464JN", "90S909MA", "70X065JG"]


@pytest.mark.skipif(not _reads_plates(), reason="no models that read plates here")
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
    assert [(words[3], words[4]) for words in told] == [(text, "UZ") for text in PLATES]
    assert not any(text in done.stdout for text in PLATES)  # on no list: it does not leave
