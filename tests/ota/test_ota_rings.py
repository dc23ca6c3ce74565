"""Rings that open, halts that need no key from a safe, keys that are replaced."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from ota_maintainer import days
from securesystemslib.signer import CryptoSigner

from agent.errors import UpdateError
from agent.ota.floors import Floors
from agent.ota.release import Ring, halts_from_json, halts_to_json

NOBODY, EVERYBODY = Ring(name="canary", boxes=("x/y",)), Ring(name="rest", percent=100)


def test_next_ring_is_opened_by_promote(maintainer, box):
    maintainer.release("1", rings=(NOBODY, EVERYBODY))
    assert box.apply(maintainer.public) == []
    maintainer.at().promote("face", None)
    maintainer.publish()
    (outcome,) = box.apply(maintainer.public)
    assert outcome.state == "active"
    with pytest.raises(UpdateError, match="all its rings are open"):
        maintainer.at().promote("face", "1")


def test_whole_mahalla_is_a_line_of_a_ring(maintainer, box):
    maintainer.release("1", rings=(Ring(name="red", boxes=("a/*",)),))
    assert box.apply(maintainer.public)[0].state == "active"


def halted(maintainer, version):
    repo = maintainer.at()
    repo.halt(repo.find("face", version), "misses bicycles")
    maintainer.at().publish_halts([maintainer.online])


def test_halt_reaches_boxes_that_have_not_begun(maintainer, box):
    maintainer.release("1")
    maintainer.release("2")
    halted(maintainer, "2")
    (outcome,) = box.apply(maintainer.public)
    assert outcome.version == "1"  # the newest that is not halted
    repo = maintainer.at()
    with pytest.raises(UpdateError, match="is halted"):
        repo.promote("face", "2")
    repo.halt(repo.find("face", "2"), None)
    repo.publish_halts([maintainer.online])
    assert box.apply(maintainer.public)[0].version == "2"


@pytest.mark.parametrize("live", [False, True])
def test_halt_ends_a_trial_without_a_word_against_the_package(maintainer, box, live):
    maintainer.release("1")
    box.apply(maintainer.public)
    maintainer.release("2")
    box.apply(maintainer.public, at_once=False)
    if live:
        box.models.go_live(1)
        assert box.active == "2"
    halted(maintainer, "2")
    box.apply(maintainer.public, at_once=False)
    assert (box.active, box.models.trial()) == ("1", None)
    assert box.models.memory().refused == {}
    assert box.models.report()["face"]["why"] == "halted"


def test_box_that_has_confirmed_a_halted_release_stays_with_it(maintainer, box):
    for version in ("1", "2"):
        maintainer.release(version)
        box.apply(maintainer.public)
    halted(maintainer, "2")
    assert box.apply(maintainer.public) == []
    assert box.active == "2"


def test_halt_goes_out_though_a_release_is_drafted(maintainer, box):
    maintainer.release("1")
    maintainer.add("2")
    halted(maintainer, "1")
    assert box.apply(maintainer.public) == []
    maintainer.publish()
    assert box.apply(maintainer.public)[0].version == "2"


def test_online_key_alone_releases_nothing(maintainer):
    maintainer.add("1")
    with pytest.raises(UpdateError, match="keys are missing"):
        maintainer.publish(maintainer.online)


def test_online_key_alone_holds_releases_back_for_a_year_at_most(maintainer, box):
    maintainer.release("1")
    for _ in range(9):
        box.apply(maintainer.public)
        maintainer.now += days(42)
        box.now = maintainer.now
        maintainer.at().renew([maintainer.online])
    with pytest.raises(UpdateError, match=r"models is expired: .* somebody holds it back"):
        box.apply(maintainer.public)


def test_package_that_was_spoilt_on_the_server_is_put_right_by_adding_it_again(maintainer, box):
    maintainer.release("1")
    place = maintainer.target("1")
    place.write_bytes(b"spoilt")
    with pytest.raises(UpdateError):
        box.apply(maintainer.public)
    maintainer.release("1")
    assert box.apply(maintainer.public)[0].state == "active"
    place.unlink()
    with pytest.raises(UpdateError, match="is not there; add it again"):
        maintainer.publish()


def test_halts_of_another_form_are_refused():
    assert halts_from_json(halts_to_json({3: "x"})) == {3: "x"}
    for content in (b"", b"[]", b'{"v":1,"halted":{"a":"x"}}', b'{"v":1,"halted":{"1":2}}'):
        with pytest.raises(UpdateError, match="not a list of halts"):
            halts_from_json(content)


@pytest.mark.parametrize("role", ["models", "online"])
def test_key_that_is_replaced_signs_nothing_more(maintainer, box, role):
    maintainer.release("1")
    box.apply(maintainer.public)
    stolen, fresh = getattr(maintainer, role), CryptoSigner.generate_ed25519()
    maintainer.at().rotate(role, fresh.public_key, None, maintainer.root[:2])
    maintainer.add("2")
    with pytest.raises(UpdateError, match="keys are missing"):
        maintainer.publish()
    setattr(maintainer, role, fresh)
    maintainer.publish()
    assert box.apply(maintainer.public)[0].version == "2"
    setattr(maintainer, role, stolen)
    maintainer.add("3")
    with pytest.raises(UpdateError, match="keys are missing"):
        maintainer.publish()


def test_thief_who_spent_all_numbers_locks_nobody_out(maintainer, box):
    """The stolen online key signs version 10^9; with the next key the box counts anew."""
    maintainer.release("1")
    box.apply(maintainer.public)
    repo = maintainer.at()
    stamp = repo._newest("timestamp")
    stamp.signed.version = 10**9
    stamp.sign(maintainer.online)
    stamp.to_file(str(maintainer.public / "metadata" / "timestamp.json"))
    box.apply(maintainer.public)
    assert Floors(box.models.ota).versions["timestamp"][0] == 10**9
    stamp.signed.version = 5
    stamp.to_file(str(maintainer.public / "metadata" / "timestamp.json"))
    fresh = CryptoSigner.generate_ed25519()
    repo.rotate("online", fresh.public_key, None, maintainer.root[:2])
    maintainer.online = fresh
    maintainer.release("2")
    assert box.apply(maintainer.public)[0].version == "2"


def test_root_keys_replaced_one_by_one_over_years_are_followed(maintainer, box):
    maintainer.release("1")
    box.apply(maintainer.public)
    for _ in range(3):
        old, fresh = maintainer.root[0], CryptoSigner.generate_ed25519()
        keys = [*maintainer.root, fresh]
        maintainer.at().rotate("root", fresh.public_key, old.public_key, keys)
        maintainer.root = [*maintainer.root[1:], fresh]
        maintainer.now += days(300)
    maintainer.release("2")
    box.now = maintainer.now
    assert box.apply(maintainer.public)[0].version == "2"


def test_renewal_keeps_drafts_out_and_needs_no_other_key(maintainer, box):
    maintainer.release("1")
    maintainer.add("2")
    maintainer.now += days(60)
    box.now = maintainer.now
    with pytest.raises(UpdateError, match="holds it back"):
        box.apply(maintainer.public)
    maintainer.at().renew([maintainer.online])
    assert box.apply(maintainer.public)[0].version == "1"
    assert maintainer.at().renew(maintainer.root[:2]) == ["root 2", "targets 2"]
    assert maintainer.at().renew([maintainer.hotlists]) == []


def test_two_who_sign_at_once_lose_nothing(maintainer, box, monkeypatch):
    """`watch` halts while somebody publishes: each has a number, and a snapshot, of its own."""
    maintainer.release("1")

    def publish(role):
        signer = getattr(maintainer, role)
        for number in range(4):
            name = f"{role}/{number}" if role == "config" else role
            maintainer.at().put(f"{name}/{number}.x", b"x")
            maintainer.at().publish([signer, maintainer.online])

    with ThreadPoolExecutor() as both:
        list(both.map(publish, ["hotlists", "config"]))
    client = box.client(maintainer.public)
    assert all(client.target(f"hotlists/{number}.x") for number in range(4))
    assert all(client.target(f"config/{number}/{number}.x") for number in range(4))
    monkeypatch.setattr("agent.ota.repository._PATIENCE_S", 0)
    with maintainer.at().locked(), pytest.raises(UpdateError, match="somebody else signs here"):
        maintainer.publish()
