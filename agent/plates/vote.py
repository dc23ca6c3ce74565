"""All views of one plate together: the likeliest text, how likely, and what else it may be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agent.plates.grammar import ANY, Grammars
from agent.plates.kbest import SLOTS, SYMBOLS
from agent.plates.reader import View
from agent.records import PlateText

CORRELATION = 0.3
"""How much two views of one plate err alike: dirt, a bent plate and the light stay as they are
from picture to picture. n views tell as much as n / (1 + (n - 1) * this) that know nothing of
each other (the design effect; Kish, "Survey Sampling", 1965), hardly more than three. Of 0.1 to 0.9
this fits drawn passages of three views best or within 0.002 (models/recipes/confusions.py)."""

MOST_VIEWS = 8
"""Views that count, the best ones: with the correlation above, the ninth adds 2 %."""

SLIP = 1e-3
"""Share of slots in which a view says nothing true, however sure it is (a bolt, a lamp's glare):
no single view may veto what all others read."""

COUNTRY_LOSS = 2.2
"""The same text of another country, at most e^2.2 = 9 times less likely, leaves it open."""

_KEEP = 16  # texts of the search: what the seventeenth has is beyond the third digit
_PLAUSIBLE = 7.0  # natural log: runners-up that are a thousand times less likely are not told

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the views settle, see `PlateReading`; `texts` is empty where no form fits."""

    texts: tuple[PlateText, ...]  # the best first, then the plausible others
    score: float
    margin: float
    votes: int


class Vote:
    """The best views of one plate; bounded, in any order."""

    def __init__(self, grammars: Grammars) -> None:
        self._grammars = grammars
        self._views: list[View] = []
        self._verdict: Verdict | None = None

    def __len__(self) -> int:
        return len(self._views)

    def add(self, view: View) -> None:
        """Take a view in; of more than MOST_VIEWS the worst is forgotten."""
        self._verdict = None
        self._views.append(view)
        if len(self._views) > MOST_VIEWS:
            self._views.remove(min(self._views, key=lambda each: each.quality))

    def clear(self) -> None:
        """Forget them: they were of something else."""
        self._verdict = None
        self._views.clear()

    def verdict(self) -> Verdict:
        """The most probable texts of all grammars under the summed log probabilities."""
        if self._verdict is None:
            self._verdict = self._counted()
        return self._verdict

    def _counted(self) -> Verdict:
        if not self._views:
            return Verdict(texts=(), score=0.0, margin=0.0, votes=0)
        char_logp, country_logp = summed(self._views)
        found = self._grammars.search(char_logp, country_logp, _KEEP)
        score = self._grammars.posterior(found)
        texts = _settled(found)
        rival = next((each for each in found if each.text != found[0].text), None)
        return Verdict(
            texts=tuple(text for text in texts if text.loss <= _PLAUSIBLE),
            score=score,
            margin=rival.loss if rival else _PLAUSIBLE,
            votes=len(self._views),
        )


def summed(views: Sequence[View]) -> tuple[Floats, dict[str, float]]:
    """Log probabilities (SLOTS, 37) and of the countries, worth as many views as are independent.

    The sum over n views is divided by 1 + (n - 1) * CORRELATION.
    """
    effect = 1 + (len(views) - 1) * CORRELATION
    char_logp = np.zeros((SLOTS, len(SYMBOLS)))
    country_logp = dict.fromkeys(views[0].country_logp, 0.0)
    for view in views:
        char_logp += _with_slips(view.char_logp, len(SYMBOLS)) / effect
        countries = _with_slips(list(view.country_logp.values()), len(country_logp)) / effect
        for code, logp in zip(view.country_logp, countries.tolist(), strict=True):
            country_logp[code] += logp
    return char_logp, country_logp


def _with_slips(logp: Iterable[float] | NDArray[np.float32], choices: int) -> Floats:
    """Log probabilities of a view that is right in all but a share SLIP of cases."""
    shares = np.exp(np.asarray(logp, dtype=np.float64))
    mixed: Floats = np.log((1 - SLIP) * shares + SLIP / choices)
    return mixed


def _settled(found: Sequence[PlateText]) -> list[PlateText]:
    """`found` with the best text's country left open, where another one is as good.

    The text then stands under `?` first and under each country among the others.
    """
    if not found:
        return []
    best = found[0]
    open_country = best.country != ANY and any(
        each.text == best.text and each.country != best.country and each.loss < COUNTRY_LOSS
        for each in found[1:]
    )
    return [replace(best, country=ANY), *found] if open_country else list(found)
