"""Characters that look like others: what cannot be seen in a text has to be said."""

from __future__ import annotations

import re

NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"

_LATIN = re.compile(r"[A-Za-z]")
_CYRILLIC_LIKE_LATIN = re.compile("[АВЕЅІЈКМНОРСТУХаеоѕіјрсухһԁԛԝ]")


def look_alike(text: str) -> str:
    """Names the first character that only looks as it should; "" where there is none.

    Cyrillic letters alone are a word of their own; among Latin ones they are a slip of the
    keyboard.
    """
    at = text.find(NO_BREAK_SPACE)
    if at >= 0:
        return f"character {at + 1} is a no-break space: type an ordinary one"
    found = _CYRILLIC_LIKE_LATIN.search(text) if _LATIN.search(text) else None
    if not found:
        return ""
    what = f'character {found.start() + 1}, "{found[0]}", is Cyrillic'
    return f"{what}: type the word anew in Latin letters"
