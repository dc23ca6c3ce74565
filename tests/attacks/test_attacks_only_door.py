"""Nothing leaves but through privacy: no other room makes a message, or could name a person."""

import ast
from dataclasses import fields
from pathlib import Path

import pytest

from agent.records import Detection, Event

AGENT = Path(__file__).parents[2] / "agent"


def constructions(tree, name):
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (getattr(node.func, "id", None) == name or getattr(node.func, "attr", None) == name)
    ]


def test_only_privacy_constructs_messages():
    found = {
        path.relative_to(AGENT).parts[0]
        for path in AGENT.rglob("*.py")
        if constructions(ast.parse(path.read_text()), "Message")
    }
    assert found == {"privacy"}


def test_no_room_copies_a_message_with_another_body():
    for path in AGENT.rglob("*.py"):
        assert "replace(message" not in path.read_text(), path


@pytest.mark.parametrize("record", [Detection, Event])
def test_records_have_no_place_for_who_somebody_is(record):
    names = {field.name for field in fields(record)}
    assert not names & {"embedding", "identity", "name", "age", "sex", "gender", "emotion"}


def test_no_module_loads_pickles_or_runs_a_shell():
    for path in AGENT.rglob("*.py"):
        text = path.read_text()
        assert "import pickle" not in text, path
        assert "shell=True" not in text, path
