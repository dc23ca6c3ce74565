"""The parts of JSON Schema that our documents use, checked in a hundred lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any


def complaints(instance: Any, node: dict[str, Any], root: dict[str, Any]) -> Iterator[str]:
    """What the parts of JSON Schema that the documents use say against `instance`."""
    if "$ref" in node:
        node = resolve(node["$ref"], root)
    if "const" in node and instance != node["const"]:
        yield f"{instance!r} is not {node['const']!r}"
    if "enum" in node and instance not in node["enum"]:
        yield f"{instance!r} is not one of {node['enum']}"
    for keyword, combine in (("oneOf", 1), ("anyOf", None)):
        fitting = [not list(complaints(instance, each, root)) for each in node.get(keyword, ())]
        if fitting and not (sum(fitting) == combine if combine else any(fitting)):
            yield f"{keyword}: {sum(fitting)} fit {instance!r}"
    if "if" in node and list(complaints(instance, node["if"], root)):
        yield from complaints(instance, node.get("else", {}), root)
    yield from typed_complaints(instance, node, root)


TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def fits(instance: Any, wanted: str) -> bool:
    return type(instance) in TYPES[wanted]


def typed_complaints(instance: Any, node: dict[str, Any], root: dict[str, Any]) -> Iterator[str]:
    wanted = node.get("type", list(TYPES))
    if not any(fits(instance, name) for name in ([wanted] if isinstance(wanted, str) else wanted)):
        yield f"{instance!r} is no {wanted}"
        return
    if isinstance(instance, str) and not re.search(node.get("pattern", ""), instance):
        yield f"{instance!r} does not match {node['pattern']}"
    if isinstance(instance, str) and len(instance) > node.get("maxLength", 10**6):
        yield f"{instance!r} is too long"
    if isinstance(instance, int | float) and not (
        node.get("minimum", -1e30) <= instance <= node.get("maximum", 1e30)
    ):
        yield f"{instance!r} is out of range"
    if isinstance(instance, list):
        for item in instance:
            yield from complaints(item, node.get("items") or {}, root)
    if isinstance(instance, dict):
        yield from object_complaints(instance, node, root)


def object_complaints(
    instance: dict[str, Any], node: dict[str, Any], root: dict[str, Any]
) -> Iterator[str]:
    yield from (f"{key} is missing" for key in node.get("required", ()) if key not in instance)
    for key, value in instance.items():
        rest = node.get("additionalProperties", {})
        inner = node.get("properties", {}).get(key, rest)
        if inner is False:
            yield f"{key} is unknown"
        else:
            yield from complaints(value, inner, root)


def resolve(reference: str, root: dict[str, Any]) -> dict[str, Any]:
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    assert isinstance(found, dict)
    return found
