"""Lists of sought plates by the way of models: whole, newest, or as they were."""

from __future__ import annotations

import pytest
from ota_maintainer import days
from test_ota_attacks import resigned
from tuf.api.metadata import TargetFile

from agent.errors import UpdateError
from agent.hotlist.shelf import ARRIVED
from agent.ota.hotlists import fetch, path_of


def put(maintainer, content: bytes) -> None:
    maintainer.at().put(path_of("stolen"), content)
    maintainer.publish(maintainer.hotlists, maintainer.online)


@pytest.fixture
def file(maintainer, box, tmp_path):
    maintainer.release("1")
    put(maintainer, b"list 1")
    assert fetch(box.client(maintainer.public), ["stolen"], tmp_path) == ["stolen"]
    return tmp_path / ARRIVED / "stolen.list"


def test_list_comes_once_and_again_when_it_is_new(maintainer, box, file):
    names, state = ["stolen", "local"], file.parents[2]
    assert fetch(box.client(maintainer.public), names, state) == []
    put(maintainer, b"list 2")
    assert fetch(box.client(maintainer.public), names, state) == ["stolen"]
    assert file.read_bytes() == b"list 2"
    assert [each.name for each in file.parent.iterdir()] == ["stolen.list"]


def test_list_that_was_tampered_with_changes_nothing(maintainer, box, file):
    put(maintainer, b"list 2")
    for place in maintainer.public.glob("targets/hotlists/*"):
        place.write_bytes(b"list X")
    with pytest.raises(UpdateError, match="does not verify"):
        fetch(box.client(maintainer.public), ["stolen"], file.parents[2])
    assert file.read_bytes() == b"list 1"


def test_key_of_models_signs_no_lists_and_that_of_lists_no_models(maintainer, box, file):
    def change(models):
        data = TargetFile.from_data("hotlists/stolen.list", b"list 2", ["sha256"])
        models.targets["hotlists/stolen.list"] = data

    resigned(maintainer, "models", change, maintainer.models)
    assert fetch(box.client(maintainer.public), ["stolen"], file.parents[2]) == []
    assert file.read_bytes() == b"list 1"
    resigned(maintainer, "hotlists", lambda signed: None, maintainer.models)
    with pytest.raises(UpdateError, match="does not verify"):
        fetch(box.client(maintainer.public), ["stolen"], file.parents[2])


def test_lists_that_nobody_renews_expire_sooner_than_models(maintainer, box, file):
    maintainer.now += days(31)
    box.now = maintainer.now
    maintainer.publish(maintainer.online)
    client = box.client(maintainer.public)
    with pytest.raises(UpdateError, match="holds it back"):
        fetch(client, ["stolen"], file.parents[2])
    assert box.apply(maintainer.public)[0].state == "active"


def test_name_that_leads_elsewhere_is_refused():
    for name in ("../x", "a/b", "", "A"):
        with pytest.raises(UpdateError, match="is no name"):
            path_of(name)
