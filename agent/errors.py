"""The exception tree, by what the caller can do about it.

AgentError
├── UsageError     the command line asks for what does not go together; exit 2
├── ConfigError    mend the configuration; exit 78 from `run`, do not restart
├── CaptureError   a camera is away or odd: back off, try again, say so in an event
├── ModelError     a model is missing or wrong: keep the one that works
├── StoreError     the outbox cannot be read or written: set aside, report, go on
├── LinkError      a broker is away or refuses: back off, try the next one
├── HotlistError   a list of plates does not verify: keep the one in force
├── UpdateError    an update does not verify: stay where we are
└── SiteError      a certificate or what a site is made of does not hold: nothing is signed
"""

from __future__ import annotations


class AgentError(Exception):
    """Base of every error that a person may see: one line, what is wrong and what to do."""


class UsageError(AgentError):
    pass


class ConfigError(AgentError):
    pass


class CaptureError(AgentError):
    """`why` is the one word that leaves the box in `camera.lost`; the text stays in its log."""

    def __init__(self, text: str, *, why: str = "no-picture") -> None:
        super().__init__(text)
        self.why = why


class ModelError(AgentError):
    pass


class StoreError(AgentError):
    pass


class LinkError(AgentError):
    pass


class HotlistError(AgentError):
    """`why` is the one word that leaves the box in an `audit` event; the text stays in its log."""

    def __init__(self, text: str, *, why: str = "damaged") -> None:
        super().__init__(text)
        self.why = why


class UpdateError(AgentError):
    """`why` is the one word that leaves the box in `model.rolled-back` and in `about`."""

    def __init__(self, text: str, *, why: str = "refused") -> None:
        super().__init__(text)
        self.why = why


class SiteError(AgentError):
    pass
