"""`mahalla schema`: the events, the configuration and the topics, from the code's own tables."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from agent import __version__
from agent.config.settings import CONFIG
from agent.kinds import (
    ANY_KEYS,
    BODY_KEYS,
    ENVELOPE_KEYS,
    KEYS,
    KINDS_OF_EVENTS,
    KindSpec,
)
from agent.records import Phase
from agent.topics import TOPICS, Topic

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `schema` to the command line."""
    parser = commands.add_parser(
        "schema",
        help="what leaves the box and what goes into agent.yaml, for programs",
        description="Print the JSON Schema of the events or of the configuration, or the AsyncAPI "
        "document of the topics.",
        epilog="example: mahalla schema events > events.schema.json",
    )
    parser.add_argument("what", nargs="?", choices=tuple(DOCUMENTS), default="events")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    print(json.dumps(DOCUMENTS[args.what](), ensure_ascii=False, indent=2))
    return 0


def events_schema() -> Schema:
    """JSON Schema of one event as it is on the wire."""
    return {
        "$schema": DIALECT,
        "title": "Event",
        "description": f"One event of mahalla-agent {__version__}, as it is on the wire.",
        "type": "object",
        "oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in KINDS_OF_EVENTS],
        "$defs": {kind: kind_schema(kind, spec) for kind, spec in KINDS_OF_EVENTS.items()},
    }


def kind_schema(kind: str, spec: KindSpec) -> Schema:
    """JSON Schema of the events of one kind; an `end` needs what every event has and no more."""
    keys = (*ENVELOPE_KEYS, *BODY_KEYS, *ANY_KEYS, *spec.required, *spec.optional)
    properties = {key: key_schema(key) for key in dict.fromkeys(keys)}
    properties["k"] = {"const": kind}
    properties["s"] = _phase_schema(spec)
    if spec.of_box:
        properties["src"] = properties["src"] | {"pattern": "^[a-z0-9-]+/[a-z0-9-]+/_box$"}
    schema: Schema = {
        "description": spec.description,
        "type": "object",
        "properties": properties,
        "required": [*ENVELOPE_KEYS, *BODY_KEYS],
        "additionalProperties": False,
    }
    if spec.required:
        ended = {"properties": {"s": {"const": Phase.END.value}}, "required": ["s"]}
        schema |= {"if": ended, "else": {"required": list(spec.required)}}
    return schema


def key_schema(key: str) -> Schema:
    """JSON Schema of one key."""
    return {"description": KEYS[key].description} | dict(KEYS[key].schema)


def _phase_schema(spec: KindSpec) -> Schema:
    phases = [phase.value for phase in Phase if (phase is not Phase.ONCE) == spec.phased]
    return {"description": KEYS["s"].description, "enum": phases}


def config_schema() -> Schema:
    """JSON Schema of agent.yaml; `mahalla check` knows more than it can say."""
    about = {
        "$schema": DIALECT,
        "title": "agent.yaml",
        "description": f"The configuration of one box of mahalla-agent {__version__}.",
    }
    return about | CONFIG.json_schema()


def asyncapi() -> Schema:
    """AsyncAPI 3.0 document of every topic; the box is the application it describes."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "mahalla-agent",
            "version": __version__,
            "description": "Topics of one box over MQTT 5 or 3.1.1.",
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(topic) for name, topic in TOPICS.items()},
        "operations": {name: _operation(name, topic) for name, topic in TOPICS.items()},
        "components": {"messages": _messages()},
    }


def _channel(topic: Topic) -> Schema:
    return {
        "address": topic.address,
        "description": topic.description,
        "parameters": {name: {"description": text} for name, text in topic.parameters.items()},
        "messages": _references(topic.messages, "components/messages"),
    }


def _operation(name: str, topic: Topic) -> Schema:
    return {
        "action": "send" if topic.from_box else "receive",
        "channel": {"$ref": f"#/channels/{name}"},
        "bindings": {
            "mqtt": {"qos": topic.qos, "retain": topic.retained, "bindingVersion": "0.2.0"}
        },
    }


def _references(names: Iterable[str], under: str) -> dict[str, Mapping[str, str]]:
    return {name: {"$ref": f"#/{under}/{name}"} for name in names}


def _messages() -> Schema:
    events = {
        kind: {"summary": spec.description, "payload": kind_schema(kind, spec)}
        for kind, spec in KINDS_OF_EVENTS.items()
    }
    others = {
        name: {"contentType": topic.content_type, "payload": dict(topic.payload)}
        for name, topic in TOPICS.items()
        if topic.payload is not None
    }
    return events | others


DOCUMENTS: Mapping[str, Callable[[], Schema]] = {
    "events": events_schema,
    "config": config_schema,
    "asyncapi": asyncapi,
}
