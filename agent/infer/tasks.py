"""Which models a camera needs."""

from __future__ import annotations

from agent.config.model import CameraConfig

SYNTHETIC = "synthetic:"
"""Sources that are drawn, and bring the truth with them: no model sees cars in rectangles."""

_TASKS = {"face": ("face",), "traffic": ("object",), "plate": ("object", "plate", "plate-text")}
"""By role; a plate is looked for on a vehicle."""


def tasks_of(camera: CameraConfig) -> set[str]:
    """Of the models that it needs."""
    if camera.source.startswith(SYNTHETIC):
        return set()
    return {task for role in camera.roles for task in _TASKS[role]}
