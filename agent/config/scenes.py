"""`synthetic:SCENE`: scenes drawn with known truth, for tests and the demo.

Grammar: `NAME[?KEY=VALUE[&KEY=VALUE...]]`

Names
    street   cars pass both ways and a person walks; everything that moves is in the truth
    parked   a street where nothing happens but one car that stands: the truth never changes
    blank    grey, nothing in it
Keys (default)
    fps (10)         pictures a second, 1 to 60
    size (640x360)   width x height in pixels, each 16 to 4096
    noise (2)        standard deviation of the sensor's noise in grey levels, 0 to 30
    clock (0)        1 burns the time of day in, as cameras do
    seconds (0)      length of the scene; 0 never ends
    seed (0)         another number, other noise
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from agent.config.problems import Refusal, nearest, one_of, quoted

SCENES = ("street", "parked", "blank")

_NUMBERS = {  # key: default, least, most
    "fps": (10.0, 1, 60),
    "noise": (2.0, 0, 30),
    "clock": (0.0, 0, 1),
    "seconds": (0.0, 0, 86400),
    "seed": (0.0, 0, 2**31),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneConfig:
    """What a scene's text asks for."""

    name: str
    width_px: int
    height_px: int
    fps: float
    noise: float
    clock: bool
    seconds: float
    seed: int


def parse_scene(text: str) -> SceneConfig:
    """What follows `synthetic:`, taken apart; raises Refusal."""
    name, _, query = text.partition("?")
    if name not in SCENES:
        raise Refusal(f"{quoted(name)} is no scene", one_of(SCENES), nearest(name, SCENES))
    values = dict(parse_qsl(query, keep_blank_values=True))
    width_px, height_px = _size(values.pop("size", "640x360"))
    numbers = {key: default for key, (default, _, _) in _NUMBERS.items()}
    numbers |= {key: _number(key, value) for key, value in values.items()}
    return SceneConfig(
        name=name,
        width_px=width_px,
        height_px=height_px,
        fps=numbers["fps"],
        noise=numbers["noise"],
        clock=bool(numbers["clock"]),
        seconds=numbers["seconds"],
        seed=int(numbers["seed"]),
    )


def _number(key: str, value: str) -> float:
    if key not in _NUMBERS:
        keys = ("size", *_NUMBERS)
        raise Refusal(f"a scene has no key {quoted(key)}", one_of(keys), nearest(key, keys))
    _, least, most = _NUMBERS[key]
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        raise Refusal(f"{key} of a scene is a number from {least} to {most}")
    return number


def _size(value: str) -> tuple[int, int]:
    width, _, height = value.partition("x")
    if not (width.isdecimal() and height.isdecimal()) or not (
        16 <= int(width) <= 4096 and 16 <= int(height) <= 4096
    ):
        raise Refusal("size of a scene is like 640x360, each side from 16 to 4096")
    return int(width), int(height)
