"""What the reader of plates takes for what: the figures that the vote and the hotlist stand on.

    .venv/bin/python models/recipes/confusions.py            # 3,000 passages, a minute or two

Draws Uzbek plates of real regions that no training saw (strokes alone, seeds of its own), three
pictures each, and reads them with the package `plate-text` as a box does. Prints the card's
`wrong_rate` and `candidates` (see agent/hotlist/estimate.py), how far down the list the true text
is when it is not the first, which CORRELATION of the vote fits best, and the commonest confusions.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from degrade import found_corners, shoot
from plates import Fonts, Plate, afghan, uzbek, uzbek_square, wear

import agent.plates.vote as vote_room
from agent.capture.pictures import RgbPicture
from agent.infer.model import open_model
from agent.infer.package import find_package
from agent.plates.grammar import Grammars, load_grammars
from agent.plates.kbest import SYMBOLS
from agent.plates.reader import PlateReader, View
from agent.plates.vote import Verdict, Vote

VIEWS = 3
NARROWEST_PX = 55.0
LIMITS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)


@dataclass(frozen=True, slots=True)
class Passage:
    text: str
    views: list[View]


def seen_by(rng: np.random.Generator, plate: Plate, reader: PlateReader) -> list[View]:
    """VIEWS of one plate, all of one width."""
    width = float(rng.uniform(NARROWEST_PX, 130))
    views = []
    for _ in range(VIEWS):
        shot = shoot(rng, plate, width)
        size = shot.image.shape[1], shot.image.shape[0]
        picture = RgbPicture(np.ascontiguousarray(shot.image))
        corners = found_corners(rng, shot.corners).astype(float) / size
        views.append(reader.read(picture, corners))
    return views


def passages(count: int, seed: int, reader: PlateReader, grammars: Grammars) -> list[Passage]:
    """`count` plates of at least NARROWEST_PX that exist, seen VIEWS times, each view by itself.

    The recipes also draw regions that no plate has, so that the reader reads what is there.
    """
    rng, fonts = np.random.default_rng(seed), Fonts(None)
    made: list[Passage] = []
    while len(made) < count:
        plate = (uzbek if rng.random() < 0.85 else uzbek_square)(rng, fonts)
        there = grammars.canonical(str(plate.text), "UZ")
        if there is None or there.text != plate.text:
            continue
        wear(rng, plate.image)
        made.append(Passage(str(plate.text), seen_by(rng, plate, reader)))
    return made


def forced(count: int, seed: int, reader: PlateReader, grammars: Grammars, fonts: Fonts) -> str:
    """How often a plate with Perso-Arabic text, drawn as above, is surely read as an Uzbek one."""
    rng = np.random.default_rng(seed)
    uzbek_sure = any_sure = 0
    for _ in range(count):
        plate = afghan(rng, fonts)
        wear(rng, plate.image)
        verdict = counted(Passage("", seen_by(rng, plate, reader)), grammars)
        sure = bool(verdict.texts) and verdict.score >= reader.calibration.sure
        any_sure += sure
        uzbek_sure += sure and verdict.texts[0].country == "UZ"
    return f"Perso-Arabic: {count} passages, {any_sure} surely read, {uzbek_sure} as Uzbek"


def counted(passage: Passage, grammars: Grammars, views: int = VIEWS) -> Verdict:
    vote = Vote(grammars)
    for view in passage.views[:views]:
        vote.add(view)
    return vote.verdict()


def rightly(seen: list[Passage], verdicts: list[Verdict]) -> list[bool]:
    pairs = zip(seen, verdicts, strict=True)
    return [bool(v.texts) and v.texts[0].text == passage.text for passage, v in pairs]


def letters(view: View) -> str:
    """What stands in the slots, each by itself."""
    return "".join(SYMBOLS[slot] for slot in view.char_logp.argmax(axis=1)).replace("_", "")


@cache
def evenly() -> Grammars:
    """The grammars without what regions weigh."""
    countries = load_grammars().countries.values()
    return Grammars(replace(country, priors={}) for country in countries)


def surprise(seen: list[Passage], grammars: Grammars, correlation: float) -> float:
    """Mean negative log probability that the vote gives the true text, with that CORRELATION."""
    before, vote_room.CORRELATION = vote_room.CORRELATION, correlation
    total = 0.0
    for passage in seen:
        verdict = counted(passage, grammars)
        losses = {plate.text: plate.loss for plate in reversed(verdict.texts)}
        p = verdict.score * float(np.exp(-losses.get(passage.text, np.inf)))
        total -= float(np.log(max(p, 1e-4)))
    vote_room.CORRELATION = before
    return total / len(seen)


def main() -> None:
    parser = argparse.ArgumentParser(description="What the reader takes for what.")
    parser.add_argument("--count", type=int, default=3000, help="plates")
    parser.add_argument("--seed", type=int, default=801)
    parser.add_argument(
        "--fonts", type=Path, help="folder of fetch_fonts.py: Perso-Arabic plates too (and Pillow)"
    )
    args = parser.parse_args()
    cv2.setNumThreads(1)
    reader = PlateReader(open_model(find_package("plate-text")))
    grammars = load_grammars()
    seen = passages(args.count, args.seed, reader, grammars)
    alone = np.mean([letters(passage.views[0]) == passage.text for passage in seen])
    print(f"1 view(s): {alone:.3f} right letter by letter, without any grammar")
    for views in (1, VIEWS):
        verdicts = [counted(passage, grammars, views) for passage in seen]
        right = rightly(seen, verdicts)
        alike = rightly(seen, [counted(passage, evenly(), views) for passage in seen])
        print(
            f"{views} view(s): {np.mean(right):.3f} right; "
            f"{np.mean(alike):.3f} were all regions weighed alike"
        )
        for level in (0.9, 0.95, 0.97, 0.98, 0.99, 0.995):
            told = [r for r, v in zip(right, verdicts, strict=True) if v.score >= level]
            wrong = told.count(False)
            print(
                f"  sure from {level}: {len(told) / len(seen):.3f} told, {wrong} wrong, "
                f"wrong_rate {wrong / max(len(told), 1):.4f}"
            )
        for limit in LIMITS:
            losses = [{t.text: t.loss for t in reversed(v.texts)} for v in verdicts]
            looked = sum(loss <= limit for each in losses for loss in each.values())
            within = [e.get(p.text, np.inf) <= limit for e, p in zip(losses, seen, strict=True)]
            print(
                f"  loss <= {limit:.0f}: candidates {looked / max(sum(map(bool, losses)), 1):.2f}, "
                f"the true text among them {np.mean(within):.3f}"
            )
    told = {c: surprise(seen, grammars, c) for c in (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)}
    print("CORRELATION: surprise at the truth", {c: round(s, 3) for c, s in told.items()})
    pairs: Counter[tuple[str, str]] = Counter()
    totals: Counter[str] = Counter()
    for passage in seen:
        for slot, char in enumerate(passage.text):
            totals[char] += 1
            pairs[char, SYMBOLS[int(np.argmax(passage.views[0].char_logp[slot]))]] += 1
    worst = sorted(((n / totals[a], a, b) for (a, b), n in pairs.items() if a != b), reverse=True)
    print("read as:", ", ".join(f"{a}>{b or '-'} {share:.3f}" for share, a, b in worst[:24]))
    if args.fonts:
        print(forced(args.count // 3, args.seed, reader, grammars, Fonts(args.fonts)))


if __name__ == "__main__":
    main()
