"""A rendered drive-by: vehicles with known plates, through the whole pipeline.

    .venv/bin/python tests/bench/drive_by.py --vehicles 200 --fonts FOLDER
    .venv/bin/python tests/bench/drive_by.py --clip models/clips/drive_by.mp4    (the demo's clip)

Two lanes come towards the camera; a plate grows from about 35 to 110 px within one to three
seconds, at ten frames a second, by day and by infrared night. The picture around each vehicle goes
through the recipes' camera: one lens, exposure, motion blur and codec a vehicle, sensor noise new
in every frame. The scene has a sign and a burnt-in clock. Drawn cars are seen by no model, so the
vehicles' boxes are the truth, shaken, and now and then missing.

Perso-Arabic plates need the fonts (models/recipes/fetch_fonts.py) and Pillow; without they are
left out. What is drawn by the same hand that drew the training pictures flatters the reader: these
figures are about the vote, the looks and the events, not about real streets.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
from plate_camera import CountingWatch, moment, plate_camera

from agent.capture.pictures import RgbPicture
from agent.infer.model import open_model
from agent.infer.package import find_package
from agent.plates.grammar import load_grammars
from agent.records import WHOLE, Box, Detection, Frame, PlateReading, Track

sys.path.insert(0, str(Path(__file__).parents[2] / "models" / "recipes"))

import degrade
import plates
import scenes

WIDTH, HEIGHT, FPS = 1280, 720, 10.0
CLIP_CARS, CLIP_WIDE_PX, CLIP_PAPER = 6, 150.0, 150
CLIP_TEXT = re.compile("(01|10|20|25|30|40|50|60|70|75|80|85|90|95)[A-Z][0-9]{3}[A-Z]{2}")
CLIP_CODING = {"crf": "27", "preset": "slow", "threads": "1"}
REGION = (560, 480)  # of the picture around a plate that goes through the camera
NARROW_PX, WIDE_PX = 35.0, 110.0
BETWEEN_S = 2.6  # from one vehicle to the next; some are in the picture together
LANES = (0.3, 0.72)
CAR = (-2.0, -2.3, 2.0, 0.8)  # x0, y0, x1, y1 of a vehicle around its plate, in plate widths
GRAIN = 2.0  # of the noise, in levels
JITTER = 0.02  # of a box's side
MISSED = 0.05  # frames in which a vehicle is not detected

GRAMMARS = load_grammars()

Camera = Callable[[np.random.Generator, np.ndarray], np.ndarray]
"""What it makes of a picture; the generator holds what it does the same way all the time."""

ONE, TWO, NEAR, ARABIC = "Uzbek, one line", "Uzbek, two lines", "neighbours", "Perso-Arabic"
GROUPS = (ONE, TWO, NEAR, ARABIC)
MIX = ((0.62, ONE), (0.16, TWO), (0.14, NEAR), (0.08, ARABIC))
MAKERS = {
    ONE: (plates.uzbek,),
    TWO: (plates.uzbek_square,),
    NEAR: (plates.kazakh, plates.kyrgyz, plates.tajik, plates.turkmen, plates.russian),
    ARABIC: (plates.afghan,),
}


@dataclass(kw_only=True)
class Vehicle:
    """One passage, a function of time, and what was said of it."""

    group: str
    plate: plates.Plate
    seed: int
    lane: float
    begin_s: float
    lasts_s: float
    widest_px: float = WIDE_PX
    readings: list[PlateReading] = field(default_factory=list)

    def quad(self, t_s: float) -> np.ndarray | None:
        """Corners of its plate, px."""
        part = (t_s - self.begin_s) / self.lasts_s
        if not 0 <= part <= 1:
            return None
        rng = np.random.default_rng(self.seed)
        wide = NARROW_PX * (self.widest_px / NARROW_PX) ** part
        near = (wide - NARROW_PX) / (self.widest_px - NARROW_PX)  # as the road's perspective has it
        across = self.lane + rng.normal(0, 0.02) + rng.normal(0, 0.04) * near
        if self.plate.lines == 2 and self.plate.image.shape[1] < 2.2 * self.plate.image.shape[0]:
            wide *= 0.62
        middle = np.array([across * WIDTH, (0.36 + 0.5 * near) * HEIGHT])
        return (degrade.pose(rng, self.plate.image, wide) + middle).astype(np.float32)


class _Truth:
    """What a detector would say of the frame at hand."""

    seen: list[Detection]

    def detect(self, frame: Frame, look_at: Sequence[Box] = ()) -> list[Detection]:
        return self.seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vehicles", type=int, default=200)
    parser.add_argument("--fonts", type=Path, help="folder of fetch_fonts.py")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", type=Path, help="a folder for a picture of every tenth frame")
    parser.add_argument("--clip", type=Path, help="write the demo's clip here, and do nothing else")
    args = parser.parse_args()
    if args.clip:
        _write_clip(args.clip)
        return
    fonts = plates.Fonts(args.fonts)
    groups = [(share, group) for share, group in MIX if args.fonts or group != ARABIC]
    if not args.fonts:
        print("no --fonts: Perso-Arabic plates are left out", file=sys.stderr)
    for light in ("day", "night"):
        vehicles = _vehicles(
            np.random.default_rng((args.seed, light == "night")), fonts, groups, args.vehicles
        )
        _drive(vehicles, light, args.seed, args.save)


def _write_clip(path: Path) -> None:
    """Six cars whose plates come near enough for everybody to read; prints what they are."""
    rng = np.random.default_rng(11)
    vehicles = []
    while len(vehicles) < CLIP_CARS:
        plate = plates.uzbek(rng, plates.Fonts(None))
        if CLIP_TEXT.fullmatch(plate.text) and plate.image.mean() > CLIP_PAPER:
            vehicles.append(
                Vehicle(
                    group=ONE,
                    plate=plate,
                    seed=int(rng.integers(1 << 31)),
                    lane=LANES[len(vehicles) % 2],
                    begin_s=0.5 + len(vehicles) * BETWEEN_S,
                    lasts_s=3.0,
                    widest_px=CLIP_WIDE_PX,
                )
            )
    print(" ".join(vehicle.plate.text for vehicle in vehicles))
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=round(FPS), options=CLIP_CODING)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame, _ in _frames(vehicles, _lens):
            pixels = frame.picture.rgb(WHOLE, WIDTH, HEIGHT)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def _poor_camera(light: str, rng: np.random.Generator) -> Camera:
    """As the recipes draw one, with noise on its sensor that is new in every frame."""

    def camera(steady: np.random.Generator, picture: np.ndarray) -> np.ndarray:
        noise = rng.normal(0, GRAIN, picture.shape[:2])[..., None]
        noisy = np.clip(picture + noise, 0, 255).astype(np.uint8)
        return degrade.camera(steady, noisy, night=float(light == "night"), dim=0.6)

    return camera


def _lens(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """A good camera in good light."""
    return cv2.GaussianBlur(picture, (0, 0), 0.6)


def _vehicles(
    rng: np.random.Generator,
    fonts: plates.Fonts,
    groups: Sequence[tuple[float, str]],
    count: int,
) -> list[Vehicle]:
    odds = np.array([share for share, _ in groups])
    vehicles = []
    for number in range(count):
        group = groups[rng.choice(len(groups), p=odds / odds.sum())][1]
        makers = MAKERS[group]
        maker = makers[rng.integers(len(makers))]
        plate = maker(rng, fonts)
        while group in (ONE, TWO) and not _exists(plate):
            plate = maker(rng, fonts)
        plates.wear(rng, plate.image)
        vehicles.append(
            Vehicle(
                group=group,
                plate=plate,
                seed=int(rng.integers(1 << 31)),
                lane=LANES[number % 2],
                begin_s=1.0 + number * BETWEEN_S * float(rng.uniform(0.9, 1.1)),
                lasts_s=float(rng.uniform(1.2, 3.0)),
            )
        )
    return vehicles


def _exists(plate: plates.Plate) -> bool:
    """Whether its region is one: the recipes also draw others, so that the reader cannot guess."""
    there = GRAMMARS.canonical(str(plate.text), "UZ")
    return there is not None and there.text == plate.text


def _drive(vehicles: Sequence[Vehicle], light: str, seed: int, save: Path | None) -> None:
    rng = np.random.default_rng(seed)
    finder, reader = (open_model(find_package(task), threads=1) for task in ("plate", "plate-text"))
    watch = CountingWatch(finder, reader)
    detector, strays = _Truth(), list[PlateReading]()
    owners: dict[int, Vehicle] = {}
    said: list[PlateReading] = []
    camera = plate_camera(detector, None, watch, said.append)
    cpu_s, frames = 0.0, 0
    for frame, present in _frames(vehicles, _poor_camera(light, rng), save and save / light):
        detector.seen = _seen(present, rng)
        began = time.process_time()
        tracks = camera.frame(frame).tracks
        cpu_s += time.process_time() - began
        frames += 1
        _note_owners(present, tracks, owners)
    camera.close(moment(frame), "end")
    for reading in said:
        owner = owners.get(reading.track_id)
        (owner.readings if owner else strays).append(reading)
    _show(light, vehicles, strays, reader.package.calibration.sure)
    print(
        f"  inferences a vehicle: {(watch.inferences - watch.searches) / len(vehicles):.1f} on "
        f"vehicles, {watch.searches / frames:.2f} a frame for plates on none; "
        f"{cpu_s / frames * 1e3:.1f} ms CPU a frame"
    )


def _frames(
    vehicles: Sequence[Vehicle], camera: Camera, save: Path | None = None
) -> Iterator[tuple[Frame, list[tuple[Vehicle, np.ndarray]]]]:
    street = camera(np.random.default_rng(7), _street())
    until_s = max(each.begin_s + each.lasts_s for each in vehicles) + 5.0
    waiting, near = sorted(vehicles, key=lambda each: each.begin_s), []
    for number in range(round(until_s * FPS)):
        t_s = number / FPS
        while waiting and waiting[0].begin_s <= t_s:
            near.append(waiting.pop(0))
        near = [each for each in near if each.begin_s + each.lasts_s >= t_s]
        picture = street.copy()
        present = [(each, each.quad(t_s)) for each in near]
        present.sort(key=lambda pair: float(pair[1][:, 1].mean()))  # the far ones first
        for vehicle, quad in present:
            _draw(picture, vehicle, quad, camera)
        _burn_in(picture, t_s)
        if save and number % 10 == 0:
            save.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(save / f"{number:05d}.jpg"), picture[..., ::-1])
        frame = Frame(
            camera_id="drive-by",
            seq=number + 1,
            t_mono_ns=round(t_s * 1e9),
            t_utc_ms=round(t_s * 1e3),
            clock_synced=True,
            picture=RgbPicture(picture),
        )
        yield frame, present


def _draw(
    picture: np.ndarray,
    vehicle: Vehicle,
    quad: np.ndarray,
    camera: Camera,
) -> None:
    """The vehicle and what the camera makes of its surroundings, in place."""
    steady = np.random.default_rng((vehicle.seed, 1))
    scenes.draw_car(steady, picture, quad)
    degrade.paste(steady, picture, vehicle.plate.image, quad)
    x, y = quad.mean(axis=0)
    left = int(np.clip(x - REGION[0] / 2, 0, WIDTH - REGION[0]))
    top = int(np.clip(y - REGION[1] * 0.6, 0, HEIGHT - REGION[1]))
    region = picture[top : top + REGION[1], left : left + REGION[0]]
    region[:] = camera(np.random.default_rng((vehicle.seed, 2)), region)


def _street() -> np.ndarray:
    """A road from above, houses, and a sign with words and a number on it."""
    rng = np.random.default_rng(3)
    street = np.full((HEIGHT, WIDTH, 3), 105, np.uint8)
    street[: HEIGHT // 3] = cv2.resize(
        rng.integers(90, 170, (3, 12, 1)).repeat(3, axis=2).astype(np.uint8), (WIDTH, HEIGHT // 3)
    )
    for x in range(0, WIDTH, 160):
        cv2.line(
            street, (x, HEIGHT), (WIDTH // 2 + (x - WIDTH // 2) // 4, HEIGHT // 3), (160,) * 3, 2
        )
    cv2.rectangle(street, (900, 60), (1120, 120), (240, 240, 240), -1)
    cv2.putText(street, "TEL 712 345", (912, 102), cv2.FONT_HERSHEY_DUPLEX, 1.0, (20, 20, 90), 2)
    return street


def _burn_in(picture: np.ndarray, t_s: float) -> None:
    words = f"2026-01-31 12:{int(t_s) // 60 % 60:02d}:{int(t_s) % 60:02d}"
    cv2.putText(picture, words, (40, 48), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (255, 255, 255), 2)


def _seen(
    present: Sequence[tuple[Vehicle, np.ndarray]], rng: np.random.Generator
) -> list[Detection]:
    """The vehicles' true boxes, shaken, some of them missed."""
    return [
        Detection(kind="car", score=float(rng.uniform(0.5, 0.95)), box=_shaken(_around(quad), rng))
        for _, quad in present
        if rng.random() >= MISSED
    ]


def _around(quad: np.ndarray) -> Box:
    """The vehicle of a plate, inside the picture."""
    (x, y), wide = quad.mean(axis=0), float(np.ptp(quad[:, 0]))
    if np.ptp(quad[:, 1]) > 0.45 * wide:  # a square plate is narrower on the same vehicle
        wide /= 0.62
    x0, y0, x1, y1 = (at * wide for at in CAR)
    return Box(
        x0=max((x + x0) / WIDTH, 0.0),
        y0=max((y + y0) / HEIGHT, 0.0),
        x1=min((x + x1) / WIDTH, 1.0),
        y1=min((y + y1) / HEIGHT, 1.0),
    )


def _shaken(box: Box, rng: np.random.Generator) -> Box:
    across, down = JITTER * box.width, JITTER * box.height
    dx0, dy0, dx1, dy1 = rng.normal(0, [across, down, across, down])
    return Box(x0=box.x0 + dx0, y0=box.y0 + dy0, x1=box.x1 + dx1, y1=box.y1 + dy1)


def _note_owners(
    present: Sequence[tuple[Vehicle, np.ndarray]],
    tracks: Sequence[Track],
    owners: dict[int, Vehicle],
) -> None:
    """A track belongs to the vehicle whose plate it held first."""
    for vehicle, quad in present:
        x, y = quad.mean(axis=0) / (WIDTH, HEIGHT)
        for track in tracks:
            box = track.box
            if box.x0 <= x <= box.x1 and box.y0 <= y <= box.y1:
                owners.setdefault(track.track_id, vehicle)


def _show(
    light: str, vehicles: Sequence[Vehicle], strays: Sequence[PlateReading], sure: float
) -> None:
    print(
        f"\n{light:18}{'vehicles':>9}{'read':>8}{'wrong':>7}{'sure and wrong':>16}"
        f"{'forced UZ':>11}{'unread':>8}{'no event':>10}{'several':>9}"
    )
    rows: dict[str, list[Vehicle]] = defaultdict(list)
    for vehicle in vehicles:
        rows[vehicle.group].append(vehicle)
    for name in [group for group in GROUPS if group in rows]:
        print(_row(name, rows[name], sure))
    print(_row("all", vehicles, sure))
    print(f"  events of no vehicle (sign, clock): {len(strays)}")


def _row(name: str, vehicles: Sequence[Vehicle], sure: float) -> str:
    told = [(each, reading) for each in vehicles for reading in each.readings if reading.best]
    wrong = [(each, reading) for each, reading in told if reading.best.text != each.plate.text]
    forced = [
        reading
        for each, reading in told
        if reading.best.country == "UZ" and each.plate.country != "UZ" and reading.score >= sure
    ]
    readable = [each for each in vehicles if each.plate.text is not None]
    read = sum(any(r.best and r.best.text == v.plate.text for r in v.readings) for v in readable)
    share = f"{read / len(readable):.1%}" if readable else "-"
    return (
        f"{name:18}{len(vehicles):>9}{share:>8}{len(wrong):>7}"
        f"{sum(reading.score >= sure for _, reading in wrong):>16}{len(forced):>11}"
        f"{sum(r.best is None for v in vehicles for r in v.readings):>8}"
        f"{sum(not v.readings for v in vehicles):>10}"
        f"{sum(len(v.readings) > 1 for v in vehicles):>9}"
    )


if __name__ == "__main__":
    main()
