"""The documents of `mahalla schema` against themselves and against what they describe."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema_lite import complaints, resolve

from agent import schema
from agent.kinds import KEYS, KINDS_OF_EVENTS, allowed_keys, missing_keys
from agent.records import Phase
from agent.topics import TOPICS

EVENT = (
    '{"v":1,"st":"k3f9x2ab","sq":48211,"id":"01JDFK8Q3ZJ7Y1X9V5T2R4M6N8","n":0,"s":"start",'
    '"t":1764000000123,"src":"alpomish/north-gate/gate-in","k":"plate.hit","p":"75A123BC",'
    '"co":"UZ","q":0.97,"mg":4.1,"l":"stolen","m":"exact","z":"gate"}'
)


def event(**changes: Any) -> dict[str, Any]:
    content = json.loads(EVENT) | changes
    return {key: value for key, value in content.items() if value is not None}


def nodes(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict):
        yield document
    for inner in document.values() if isinstance(document, dict) else document:
        if isinstance(inner, (dict, list)):
            yield from nodes(inner)


@pytest.mark.parametrize("what", schema.DOCUMENTS)
def test_schema_command_prints_json(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    schema.register(parser.add_subparsers())
    args = parser.parse_args(["schema", what])
    assert args.run(args) == 0
    assert json.loads(capsys.readouterr().out) == schema.DOCUMENTS[what]()


@pytest.mark.parametrize("what", schema.DOCUMENTS)
def test_references_of_a_document_lead_somewhere(what: str) -> None:
    document = schema.DOCUMENTS[what]()
    references = [node["$ref"] for node in nodes(document) if isinstance(node.get("$ref"), str)]
    assert references or what == "config"
    for reference in references:
        assert resolve(reference, document)


@pytest.mark.parametrize("what", ["events", "config"])
def test_required_keys_of_a_schema_are_described(what: str) -> None:
    for node in nodes(schema.DOCUMENTS[what]()):
        if "properties" in node and isinstance(node.get("required"), list):
            assert set(node["required"]) <= set(node["properties"])


def test_events_schema_takes_the_event_of_the_contract() -> None:
    document = schema.events_schema()
    assert list(complaints(event(), document, document)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"p": None},
        {"k": "plate.hits"},
        {"who": "somebody"},
        {"q": 1.5},
        {"sq": "48211"},
        {"s": "once"},
        {"src": "alpomish/north-gate"},
        {"id": "short"},
        {"v": 2},
        {"why": "x" * 41},
    ],
)
def test_events_schema_refuses_another_event(changes: dict[str, Any]) -> None:
    document = schema.events_schema()
    assert list(complaints(event(**changes), document, document))


def test_event_of_the_contract_is_taken_as_printed_there() -> None:
    contract = Path(__file__).parents[3] / "shared" / "design" / "contract.md"
    if not contract.exists():
        pytest.skip("the contract is not beside this checkout")
    printed = re.search(r'```json\n(\{"v":1.*?)\n```', contract.read_text("utf-8"), re.DOTALL)
    assert printed
    body = json.loads(printed[1])
    assert missing_keys(body) == ()
    document = schema.events_schema()
    assert list(complaints(body, document, document)) == []


@pytest.mark.parametrize("kind", KINDS_OF_EVENTS)
def test_kind_needs_its_keys_except_at_its_end(kind: str) -> None:
    spec, document = KINDS_OF_EVENTS[kind], schema.events_schema()
    camera = "_box" if spec.of_box else "gate-in"
    base = {"id": "01JDFK8Q3ZJ7Y1X9V5T2R4M6N8", "t": 1, "src": f"a/b/{camera}", "k": kind}
    assert missing_keys(base) == spec.required
    assert bool(list(complaints(base | ENVELOPE, document, document))) is bool(spec.required)
    if spec.phased:
        end = base | {"s": Phase.END.value, "n": 2, "why": "restart"}
        assert missing_keys(end) == ()
        assert list(complaints(end | ENVELOPE, document, document)) == []


ENVELOPE = {"v": 1, "st": "k3f9x2ab", "sq": 1}


@pytest.mark.parametrize("kind", KINDS_OF_EVENTS)
def test_kind_speaks_of_known_keys_only(kind: str) -> None:
    spec = KINDS_OF_EVENTS[kind]
    assert allowed_keys(kind) <= set(KEYS)
    assert not set(spec.required) & set(spec.optional)
    assert ("s" in spec.required) is spec.phased
    assert spec.of_box is (kind.startswith(("box.", "model.", "config.")) or kind == "audit")
    assert spec.expiry_s <= 30 * 86_400


def test_no_key_could_tell_who_somebody_is() -> None:
    words = " ".join(key.description for key in KEYS.values())
    assert not re.search(r"embedding|identity|age\b|sex|emotion|person's", words)


def test_kinds_are_those_of_the_contract() -> None:
    contract = Path(__file__).parents[3] / "shared" / "design" / "contract.md"
    if not contract.exists():
        pytest.skip("the contract is not beside this checkout")
    listed = re.search(r"(?m)^Kinds: (.*)$", contract.read_text("utf-8"))
    assert listed
    assert set(re.findall(r"`([a-z]+\.[a-z-]+|audit)`", listed[1])) == set(KINDS_OF_EVENTS)


def test_config_schema_takes_the_example_of_every_key() -> None:
    # The YAML types of the reader's own example, as an editor sees them.
    text = (Path(__file__).parents[1] / "config" / "conftest.py").read_text("utf-8")
    example = text.split('EXAMPLE = """\\\n')[1].split('"""')[0]
    document = schema.config_schema()
    assert list(complaints(yaml.safe_load(example), document, document)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("site: alpomish", "site: Alpomish"),
        ("role: plate", "role: plates"),
        ("threads: 2", "threads: 20"),
        ("max: 500MB", "max: 500"),
        ("timezone:", "timezones:"),
        ("person.crowd:", "person.crowds:"),
        ("commands: [evidence", "commands: [reboot"),
    ],
)
def test_config_schema_refuses_a_wrong_example(old: str, new: str) -> None:
    text = (Path(__file__).parents[1] / "config" / "conftest.py").read_text("utf-8")
    example = text.split('EXAMPLE = """\\\n')[1].split('"""')[0]
    assert old in example
    document = schema.config_schema()
    assert list(complaints(yaml.safe_load(example.replace(old, new)), document, document))


def test_asyncapi_describes_every_topic() -> None:
    document = schema.asyncapi()
    assert document["asyncapi"] == "3.0.0"
    assert set(document["channels"]) == set(document["operations"]) == set(TOPICS)
    for name, topic in TOPICS.items():
        channel = document["channels"][name]
        assert set(re.findall(r"\{(\w+)\}", channel["address"])) == set(channel["parameters"])
        assert channel["messages"]
        assert "." not in channel["address"]
        action = document["operations"][name]["action"]
        assert action == ("send" if topic.from_box else "receive")


def test_asyncapi_messages_are_the_kinds_of_events() -> None:
    document = schema.asyncapi()
    assert set(document["channels"]["event"]["messages"]) == set(KINDS_OF_EVENTS)
