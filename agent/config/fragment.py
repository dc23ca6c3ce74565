"""A part of the configuration that came over the air: how cameras look, never whom the box tells.

It is laid over `agent.yaml` key by key: what it names of a camera takes the place of what is
written there. Brokers, privacy, lists, updates and where pictures come from are out of its reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from agent.config.document import compose
from agent.config.place import Place, Reading
from agent.config.problems import Problem, Refusal, Spoilt, nearest, one_of

WITHIN_REACH = ("zones", "lines", "rules", "hours", "preset", "pace")
"""Of a camera, and nothing else of the file."""


def laid_over(base: Place, fragment: Place) -> None:
    """Change the nodes of `base`; what is out of reach is reported where it stands in `fragment`.

    What is within reach is laid over it all the same, so that its problems are told too.
    """
    cameras = next(iter(fragment.attempt(_Reach(base.child("cameras")))), {})
    for name, settings in cameras.items():
        camera = base.child("cameras", name)
        if camera is None or not isinstance(camera.node, yaml.MappingNode):
            continue  # wrong in the base: told where it stands
        kept = [(key, value) for key, value in camera.node.value if key.value not in settings]
        camera.node.value = kept + [(place.key, place.node) for place in settings.values()]


def problems_of(file: str, raw: bytes) -> list[Problem]:
    """What is wrong with a fragment wherever it is laid: whether its cameras exist is not asked."""
    reading = Reading(file=file, folder=Path(), credentials=None)
    root = compose(raw, reading.report, file)
    if root is not None:
        Place(reading, root).attempt(_Reach(None))
    return reading.problems


class _Reach:
    """The settings of each camera that are within reach; the others are reported.

    `cameras` are those of the box; None: any.
    """

    def __init__(self, cameras: Place | None) -> None:
        self._known = None if cameras is None else list(cameras.children())

    def read(self, place: Place) -> Mapping[str, Mapping[str, Place]]:
        for name, section in place.entries().items():
            if name != "cameras":
                section.refuse_key(Refusal("is out of reach of a fragment", "cameras"))
        cameras = place.child("cameras")
        found = {name: self._camera(each) for name, each in _entries(cameras).items()}
        for name, camera in (cameras.children() if cameras else {}).items():
            if self._known is not None and name not in self._known:
                hint = nearest(name, self._known)
                camera.refuse_key(Refusal("no such camera", one_of(self._known), hint))
        return found

    def _camera(self, camera: Place) -> Mapping[str, Place]:
        settings = _entries(camera)
        for name, place in settings.items():
            if name not in WITHIN_REACH:
                hint = nearest(name, WITHIN_REACH)
                refusal = Refusal("is out of reach of a fragment", one_of(WITHIN_REACH), hint)
                place.refuse_key(refusal)
        return {name: settings[name] for name in settings.keys() & set(WITHIN_REACH)}

    def json_schema(self) -> dict[str, Any]:
        raise NotImplementedError  # it is what `agent.yaml` has under these keys


def _entries(place: Place | None) -> Mapping[str, Place]:
    if place is None:
        return {}
    try:
        return place.entries()
    except Refusal as refusal:
        place.refuse(refusal)
    except Spoilt:
        place.reading.failures += 1
    return {}
