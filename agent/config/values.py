"""Single values: text -> value, or a Refusal that says what is allowed."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterable

from agent.config.letters import look_alike
from agent.config.problems import Refusal, closest, meant, nearest, one_of, quoted
from agent.config.tables import Scalar
from agent.kinds import KINDS_OF_EVENTS

ID_PATTERN = "^[a-z0-9-]{1,31}$"

SECOND_OF = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
BYTES_OF = {"kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}

DAY_S = SECOND_OF["d"]
HOUR_S = SECOND_OF["h"]

_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]{0,11})(\.[0-9]{1,15})?")
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)")
_DURATION_LIKE = re.compile(r"([0-9]{1,9})\s*(ms|[smhd]?)[a-z]*", re.IGNORECASE)
_SIZE = re.compile(r"([0-9]{1,9})(kB|MB|GB)")
_SIZE_LIKE = re.compile(r"([0-9]{1,9})\s*([kmg])i?b?", re.IGNORECASE)
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})?")
_DELEGATE = re.compile(r"[A-Za-z0-9_+./-]{1,200}")
_ZONE_NAME = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")

# Uzbekistan's, all the year round.
_HERE = {("+", "5", minutes) for minutes in (None, "00", ":00")}
_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+-])\s*0?(\d{1,2})(:?\d\d)?", re.IGNORECASE)

_MEANT_BOOLEAN = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false"}


def _identifier(text: str) -> str:
    if re.fullmatch(ID_PATTERN, text):
        return text
    near = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:31]
    # Letters of another alphabet were lost in `near`: it would be an invented name.
    hint = look_alike(text) or (meant(near) if near and text.isascii() else "")
    raise Refusal(f"{quoted(text)} is no id", "1 to 31 of a-z, 0-9 and -", hint)


IDENTIFIER = Scalar(_identifier, {"type": "string", "pattern": ID_PATTERN})


def choice(*allowed: str) -> Scalar[str]:
    """One word of a few."""

    def parse(text: str) -> str:
        if text in allowed:
            return text
        raise Refusal(f"{quoted(text)} is not known", one_of(allowed), nearest(text, allowed))

    return Scalar(parse, {"enum": list(allowed)})


def _boolean(text: str) -> bool:
    if text in ("true", "false"):
        return text == "true"
    word = _MEANT_BOOLEAN.get(text.lower(), text.lower())
    hint = meant(word) if word in ("true", "false") else ""
    raise Refusal(f"{quoted(text)} is neither true nor false", "true or false", hint)


BOOLEAN = Scalar(_boolean, {"type": "boolean"})


def number(least: float, most: float) -> Scalar[float]:
    """A decimal number within a range, ends included."""
    allowed = f"a number from {least:g} to {most:g}"

    def parse(text: str) -> float:
        if not _NUMBER.fullmatch(text):
            raise Refusal(f"{quoted(text)} is no number", allowed)
        if not least <= float(text) <= most:
            raise Refusal(f"{text} is out of range", allowed)
        return float(text)

    return Scalar(parse, {"type": "number", "minimum": least, "maximum": most})


def whole(least: int, most: int) -> Scalar[int]:
    """A whole number within a range, ends included."""
    allowed = f"a whole number from {least} to {most}"

    def parse(text: str) -> int:
        if not _NUMBER.fullmatch(text) or "." in text:
            raise Refusal(f"{quoted(text)} is no whole number", allowed)
        if not least <= int(text) <= most:
            raise Refusal(f"{text} is out of range", allowed)
        return int(text)

    return Scalar(parse, {"type": "integer", "minimum": least, "maximum": most})


def duration(least_s: float, most_s: float) -> Scalar[float]:
    """A length of time, in seconds, within a range, ends included."""
    allowed = f"from {spelled_duration(least_s)} to {spelled_duration(most_s)}"

    def parse(text: str) -> float:
        match = _DURATION.fullmatch(text)
        if not match:
            near = _DURATION_LIKE.fullmatch(text)
            hint = meant(f"{near[1]}{near[2].lower() or 's'}") if near else ""
            raise Refusal(
                f"{quoted(text)} is no duration", "a duration: 500ms, 20s, 5m, 72h, 7d", hint
            )
        seconds = float(match[1]) * SECOND_OF[match[2]]
        if not least_s <= seconds <= most_s:
            raise Refusal(f"{text} is out of range", allowed)
        return seconds

    return Scalar(parse, {"type": "string", "pattern": f"^{_DURATION.pattern}$"})


def spelled_duration(seconds: float) -> str:
    """Seconds as people write them: 90 -> 90s, 86400 -> 1d, 0.5 -> 500ms."""
    for unit in ("d", "h", "m", "s"):
        if seconds >= SECOND_OF[unit] and seconds % SECOND_OF[unit] == 0:
            return f"{seconds / SECOND_OF[unit]:.0f}{unit}"
    return f"{seconds * 1000:.0f}ms"


def _sized(text: str, example: str) -> int:
    match = _SIZE.fullmatch(text)
    if match:
        return int(match[1]) * BYTES_OF[match[2]]
    near = _SIZE_LIKE.fullmatch(text)
    unit = {"k": "kB", "m": "MB", "g": "GB"}[near[2].lower()] if near else ""
    hint = meant(example.replace("500MB", f"{near[1]}{unit}")) if near else ""
    raise Refusal(f"{quoted(text)} is no size", f"a size in kB, MB or GB: {example}", hint)


def size(least_bytes: int, most_bytes: int) -> Scalar[int]:
    """An amount of bytes within a range, ends included; units are decimal."""

    def parse(text: str) -> int:
        n_bytes = _sized(text, "500MB")
        if not least_bytes <= n_bytes <= most_bytes:
            limits = f"from {spelled_size(least_bytes)} to {spelled_size(most_bytes)}"
            raise Refusal(f"{text} is out of range", limits)
        return n_bytes

    return Scalar(parse, {"type": "string", "pattern": f"^{_SIZE.pattern}$"})


def spelled_size(n_bytes: int) -> str:
    for unit in ("GB", "MB"):
        if n_bytes >= BYTES_OF[unit] and n_bytes % BYTES_OF[unit] == 0:
            return f"{n_bytes // BYTES_OF[unit]}{unit}"
    return f"{n_bytes / BYTES_OF['kB']:g}kB"


def _bytes_per_day(text: str) -> int:
    amount, slash, day = text.partition("/")
    if slash and day == "d":
        return _sized(amount, "500MB/d")
    near = meant(f"{amount}/d") if _SIZE.fullmatch(amount) else ""
    raise Refusal(f"{quoted(text)} is no budget", "a size a day: 20MB/d", near)


BYTES_PER_DAY = Scalar(_bytes_per_day, {"type": "string", "pattern": f"^{_SIZE.pattern}/d$"})


def _event_kind(text: str) -> str:
    if text not in KINDS_OF_EVENTS:
        hint = nearest(text, KINDS_OF_EVENTS)
        raise Refusal(f"{quoted(text)} is no kind of event", "a kind like plate.hit", hint)
    return text


EVENT_KIND = Scalar(_event_kind, {"enum": list(KINDS_OF_EVENTS)})


def _language(text: str) -> str:
    if not _LANGUAGE.fullmatch(text):
        raise Refusal(f"{quoted(text)} is no language code", "a code like uz, ru or uz-Cyrl")
    return text


LANGUAGE = Scalar(_language, {"type": "string", "pattern": f"^{_LANGUAGE.pattern}$"})


def words(most_chars: int) -> Scalar[str]:
    """Free text, not empty, not long."""

    def parse(text: str) -> str:
        if not 1 <= len(text) <= most_chars:
            raise Refusal(f"has {len(text)} characters", f"1 to {most_chars}")
        return text

    return Scalar(parse, {"type": "string", "minLength": 1, "maxLength": most_chars})


def _delegate(text: str) -> str:
    if not _DELEGATE.fullmatch(text):
        raise Refusal(f"{quoted(text)} is no library", "a file name like libedgetpu.so.1, or null")
    return text


DELEGATE = Scalar(_delegate, {"type": "string", "pattern": f"^{_DELEGATE.pattern}$"})


def _timezone(text: str) -> str:
    try:
        if _ZONE_NAME.fullmatch(text):
            zoneinfo.ZoneInfo(text)
            return text
    except (zoneinfo.ZoneInfoNotFoundError, OSError, ValueError):
        pass
    offset = _OFFSET.fullmatch(text)
    if offset:  # no zone: it says nothing of summer time, and is the wrong way round in Etc/GMT+5
        hint = meant("Asia/Tashkent") if offset.group(1, 2, 3) in _HERE else ""
    else:
        hint = _nearest_zone(text, zoneinfo.available_timezones())
    raise Refusal(f"{quoted(text)} is no time zone", "an IANA name like Asia/Samarkand", hint)


def _nearest_zone(text: str, known: Iterable[str]) -> str:
    """The zone whose name, or whose city, is written almost so."""
    names = {name.lower(): name for name in sorted(known)}
    names |= {name.rpartition("/")[2].lower(): name for name in sorted(known) if "/" in name}
    near = closest(text, names, 0.85)  # of 600 names, some are always a little alike
    return look_alike(text) or (meant(names[near]) if near else "")


TIMEZONE = Scalar(_timezone, {"type": "string"})


def _https_url(text: str) -> str:
    if not re.fullmatch(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[^\s@]*)?", text):
        hint = meant("https://…") if text.startswith("http://") else ""
        raise Refusal("is no https address", "https://host/path, without user or password", hint)
    return text


HTTPS_URL = Scalar(_https_url, {"type": "string", "pattern": "^https://"})
