"""A release on its way: over http, as a folder, as a bundle; rings, refusals, the way back."""

from __future__ import annotations

import pytest
from ota_maintainer import release

from agent.errors import UpdateError
from agent.ota.box_models import BoxModels
from agent.ota.release import from_json, meant_for, to_json


@pytest.mark.parametrize("way", ["http", "folder", "bundle"])
def test_release_becomes_active(maintainer, box, serve, tmp_path, way):
    def where():
        if way == "bundle":
            maintainer.at().bundle(tmp_path / "stick.ota")
            return tmp_path / "stick.ota"
        return serve(maintainer.public) if way == "http" else maintainer.public

    maintainer.release("1")
    (outcome,) = box.apply(where())
    assert (outcome.version, outcome.state) == ("1", "active")
    assert box.active == "1"
    assert box.apply(where()) == []  # and once is enough
    maintainer.release("2")
    box.apply(where())
    assert box.active == "2"
    assert box.tried == ["1", "2"]


def test_rollback_returns_and_is_remembered(maintainer, box):
    for version in ("1", "2"):
        maintainer.release(version)
        box.apply(maintainer.public)
    box.models.roll_back(1)
    assert box.active == "1"
    (outcome,) = box.apply(maintainer.public)
    assert (outcome.state, outcome.why) == ("refused", "refused before: rolled back on this box")
    box.apply(maintainer.public, again=True)
    assert box.active == "2"


def test_rollback_of_the_first_leads_to_the_installed(maintainer, box):
    maintainer.release("1")
    box.apply(maintainer.public)
    assert box.models.roll_back(1) == {}
    assert box.active is None
    with pytest.raises(UpdateError, match="nothing to go back to"):
        box.models.roll_back(1)


def test_rollback_goes_further_back_each_time(maintainer, box):
    for version in ("1", "2"):
        maintainer.release(version)
        box.apply(maintainer.public)
    assert [len(box.models.roll_back(1)), len(box.models.roll_back(1))] == [1, 0]
    assert box.active is None


def test_bad_release_is_called_back_by_adding_the_last_good_one(maintainer, box):
    for version in ("1", "2"):
        maintainer.release(version)
        box.apply(maintainer.public)
    maintainer.release("1")
    box.apply(maintainer.public)
    assert box.active == "1"


def test_what_the_gate_refuses_is_not_active_and_not_tried_again(maintainer, box):
    maintainer.release("1")
    box.apply(maintainer.public)
    maintainer.release("2")

    def refuse(*_args) -> str:
        raise UpdateError("too slow")

    (outcome,) = box.apply(maintainer.public, gate=refuse)
    assert (outcome.state, outcome.why) == ("refused", "too slow")
    (outcome,) = box.apply(maintainer.public)
    assert outcome.why == "refused before: too slow"
    assert (box.active, box.tried) == ("1", ["1"])


def test_second_update_at_once_is_refused(box):
    with (
        box.models.updating(),
        pytest.raises(UpdateError, match="another update runs"),
        BoxModels(box.models.state).updating(),
    ):
        pass


def test_too_little_room_is_said_before_the_download(maintainer, box, monkeypatch):
    maintainer.release("1")
    monkeypatch.setattr("agent.ota.apply._SPARE_BYTES", 1 << 60)
    (outcome,) = box.apply(maintainer.public)
    assert (outcome.state, outcome.why) == ("waiting", "no-room")
    assert box.models.report()["face"]["why"] == "no-room"


def test_ring_grows_by_percent_and_keeps_its_boxes():
    boxes = [f"site/box-{n}" for n in range(2000)]
    rings = [set(filter(release(percent=p).is_for, boxes)) for p in (0, 10, 50, 100)]
    assert rings[0] < rings[1] < rings[2] < rings[3] == set(boxes)
    assert 120 < len(rings[1]) < 280
    assert release(percent=0, boxes=("site/box-7",)).is_for("site/box-7")


@pytest.mark.parametrize(
    ("agent", "version"), [("0.0.9", None), ("0.1.0", "1"), ("0.2.9", "1"), ("0.3", "2")]
)
def test_release_is_for_the_agents_it_names(agent, version):
    releases = [
        release("1", agent_from="0.1", agent_below="0.3"),
        release("2", serial=2, agent_from="0.3", agent_below="1.0"),
    ]
    found = meant_for(from_json(to_json(releases)), box="a/b", agent=agent)
    assert {name: each[0].version for name, each in found.items()} == (
        {"face": version} if version else {}
    )


@pytest.mark.parametrize(
    "rest",
    [
        {"model": "../face"},
        {"version": "../../1"},
        {"version": "a/b"},
        {"version": ".."},
        {"model": ""},
        {"boxes": ("../a/b",)},
        {"percent": 101},
        {"limits": {"slower_percent": 0}},
        {"agent_from": "x"},
    ],
)
def test_release_with_a_name_that_leads_elsewhere_is_refused(rest):
    with pytest.raises(UpdateError, match="is not allowed"):
        release(**rest)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"v":2,"releases":[]}', b"[" * 9999])
def test_list_of_another_form_is_refused(content):
    with pytest.raises(UpdateError, match="not a list of releases"):
        from_json(content)
