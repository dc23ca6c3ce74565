"""Messages without a camera: numbered, so that a test can tell which one is missing."""

from __future__ import annotations

from agent.records import Message, Phase, Priority


def letter(
    number: int,
    *,
    kind: str = "vehicle.line",
    camera: str = "gate-in",
    priority: Priority = Priority.EVENT,
    n: int = 0,
    phase: Phase = Phase.ONCE,
    pad: int = 100,
) -> Message:
    """Message `number`; its body is JSON with the number and `pad` characters of ballast."""
    name = f"{number:026d}"
    body = f'{{"id":"{name}","k":"{kind}","number":{number},"pad":"{"x" * pad}"}}'
    return Message(
        channel="e",
        message_id=name,
        n=n,
        kind=kind,
        camera=camera,
        body=body.encode(),
        priority=priority,
        expiry_s=3600,
        phase=phase,
    )
