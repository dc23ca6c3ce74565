"""A box's settings and its renewed certificate by the way of models: judged on the box, or not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from brokers import Certificates
from test_ota_attacks import resigned
from test_ota_power_cut import killed_at
from tuf.api.metadata import TargetFile

from agent.config.load import check, load
from agent.errors import UpdateError
from agent.ota import certificates
from agent.ota.fragments import Fragments, version
from agent.ota.settings import (
    certificate_path,
    fetch_certificate,
    fetch_fragment,
    fragment_path,
    label_of,
)

AGENT = """\
site: a
box: b
cameras: {gate: {role: traffic, source: "synthetic:street", preset: street}}
brokers: {office: {url: "mqtts://localhost:1", ca: ca.pem, cert: box.pem, key: box.key}}
"""
MARKET = b"cameras: {gate: {preset: market}}\n"
SCHOOL = b"cameras: {gate: {preset: school}}\n"
EVIL = b"cameras: {gate: {preset: market}}\nbrokers: {office: {url: 'mqtts://evil.example'}}\n"


@pytest.fixture(autouse=True)
def check_here(monkeypatch, request):
    """`mahalla check` in this process, but for the tests of the child itself."""

    def trouble(file, fragment):
        problems = check(file, fragment)[1]
        return next((str(each) for each in problems if each.severity == "error"), "")

    if "child" not in request.node.name:
        monkeypatch.setattr("agent.ota.settings._trouble", trouble)


@pytest.fixture
def authority(tmp_path) -> Certificates:
    (tmp_path / "ca").mkdir()
    return Certificates(tmp_path / "ca")


class Place:
    """The box's agent.yaml and its state, and what `ota apply` fetches of them."""

    def __init__(self, folder: Path, authority: Certificates, maintainer, box) -> None:
        cert, key = authority.issue("a_b", days=10)
        shutil.copy(authority.ca, folder / "ca.pem")
        shutil.copy(cert, folder / "box.pem")
        shutil.copy(key, folder / "box.key")
        (folder / "box.key").chmod(0o600)
        self.file, self.state = folder / "agent.yaml", folder / "box"
        self.file.write_text(AGENT)
        self._maintainer, self._box = maintainer, box
        self.fragments = Fragments(self.state)

    def put(self, path: str, content: bytes) -> None:
        self._maintainer.at().put(path, content)
        self._maintainer.publish(self._maintainer.config, self._maintainer.online)

    def fragment(self, content: bytes | None = None) -> list[tuple[str, str]]:
        """Publish it, and look for it."""
        if content is not None:
            self.put(fragment_path("a/b"), content)
        client = self._box.client(self._maintainer.public)
        found = fetch_fragment(client, self.file, load(self.file), self.fragments, 5)
        return [(each.state, each.why) for each in found]

    def certificate(self, content: bytes) -> list[tuple[str, str]]:
        self.put(certificate_path("a/b"), content)
        client = self._box.client(self._maintainer.public)
        found = fetch_certificate(client, load(self.file), self.state, self.fragments, 5)
        return [(each.state, each.why) for each in found]

    @property
    def preset(self) -> str:
        return self.fragments.lay_over(load(self.file), 6)[0].cameras["gate"].preset


@pytest.fixture
def here(tmp_path, authority, maintainer, box) -> Place:
    maintainer.release("1")
    return Place(tmp_path, authority, maintainer, box)


def test_fragment_is_in_force_once_it_is_checked_and_stays_when_confirmed(here):
    assert here.fragment(MARKET) == [("trial", "checked; the agent takes it up")]
    assert here.preset == "market"
    row = {"v": label_of(MARKET), "n": 0, "state": "live", "since": 5}
    assert here.fragments.report() == {"config": row}
    assert here.fragments.confirm() == label_of(MARKET)
    assert here.fragment() == []  # once is enough
    assert (here.preset, here.fragments.state().trial) == ("market", "")


def test_fragment_that_reaches_further_is_refused_by_the_child_and_remembered(here):
    assert here.fragment(MARKET) == [("trial", "checked; the agent takes it up")]
    here.fragments.roll_back(1)
    ((state, why),) = here.fragment(EVIL)
    assert (state, why) == ("refused", "line 2: brokers: is out of reach of a fragment; cameras")
    assert here.preset == "street"
    ((state, why),) = here.fragment()
    assert why.startswith("refused before: ")
    assert here.fragments.report()["config"]["why"] == "check"


@pytest.mark.parametrize("runs", ["crashes", "blips"])
def test_fragment_with_which_the_agent_crashes_is_taken_back_and_power_cuts_are_none(here, runs):
    here.fragment(MARKET)
    here.fragments.confirm()
    here.fragment(SCHOOL)
    for number in range(9):
        here.fragments.started("boot" if runs == "crashes" else f"boot-{number}", 7)
        if here.preset == "market":
            break
    assert (here.preset, number) == (("market", 3) if runs == "crashes" else ("school", 8))
    if runs == "crashes":
        (refused,) = here.fragments.untold()
        assert (refused.word, refused.version) == ("crashes", label_of(SCHOOL))
        assert here.fragments.untold() == []
        assert here.fragment()[0][0] == "refused"


def test_fragment_that_fits_no_more_gives_way_to_the_file(here):
    here.fragment(MARKET)
    here.fragments.confirm()
    here.file.write_text(AGENT.replace("gate:", "yard:"))
    config, sha256 = here.fragments.lay_over(load(here.file), 6)
    assert (list(config.cameras), sha256) == (["yard"], "")
    assert here.fragments.report()["config"]["why"] == "check"


@pytest.mark.parametrize("name", ["state.json", "fragment"])
@pytest.mark.parametrize("harm", ["gone", "empty", "noise"])
def test_damaged_state_leaves_the_file_as_it_is_written(here, name, harm):
    here.fragment(MARKET)
    (fragment,) = here.fragments.folder.glob("*.yaml")
    file = here.fragments.folder / name if name != "fragment" else fragment
    content = {"empty": b"", "noise": b"\x00{"}.get(harm)
    file.unlink() if content is None else file.write_bytes(content)
    assert here.preset == "street"
    assert here.fragment() == [("trial", "checked; the agent takes it up")]  # fetched again
    assert here.preset == "market"


def test_card_that_cannot_be_read_leaves_the_file_as_it_is_written(here, monkeypatch):
    here.fragment(MARKET)
    read = Path.read_bytes

    def failing(path):
        if path.name == "state.json":
            raise OSError(5, "Input/output error")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", failing)
    assert here.preset == "street"


def test_rollback_by_hand_leaves_the_file_as_it_is_written(here):
    here.fragment(MARKET)
    here.fragments.confirm()
    here.fragment(SCHOOL)
    assert here.fragments.roll_back(9) == label_of(SCHOOL)
    assert here.preset == "street"
    with pytest.raises(UpdateError, match="nothing that came"):
        here.fragments.roll_back(9)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("how", ["fetch", "confirm", "refuse", "roll-back"])
def test_fragment_killed_at_any_step_leaves_a_configuration(here, how):
    here.fragment(MARKET)
    here.fragments.confirm()
    here.put(fragment_path("a/b"), SCHOOL)
    if how != "fetch":
        here.fragment()
    steps = {
        "fetch": here.fragment,
        "confirm": here.fragments.confirm,
        "refuse": lambda: here.fragments.refuse(
            here.fragments.state().trial or "0", "errors", "errors", 9
        ),
        "roll-back": lambda: here.fragments.roll_back(9),
    }
    ends = {"fetch": "school", "confirm": "school", "refuse": "market", "roll-back": "street"}
    for step in range(1000):
        was_killed = killed_at(step, steps[how])
        assert here.preset in ("market", "school", "street" if how == "roll-back" else "market")
        if not was_killed or (step > 2 and here.preset == ends[how] and how != "confirm"):
            break
    assert here.preset == ends[how]


def test_fragment_of_another_box_is_not_looked_at(here):
    here.put(fragment_path("a/c"), MARKET)
    assert here.fragment() == []
    assert here.preset == "street"


@pytest.mark.parametrize("box", ["../a/b", "a", "a/b/c", "A/b", "a/../b", "a/*"])
def test_path_in_the_name_of_a_box_is_refused(box):
    with pytest.raises(UpdateError, match="is no box"):
        fragment_path(box)


@pytest.mark.parametrize("role", ["models", "hotlists", "online"])
def test_key_of_another_role_signs_no_fragments(here, maintainer, role):
    here.fragment(MARKET)
    resigned(maintainer, "config", lambda signed: None, getattr(maintainer, role))
    with pytest.raises(UpdateError, match="does not verify"):
        here.fragment()


def test_key_of_fragments_signs_no_models_lists_or_halts(here, maintainer, box):
    def change(config):
        for path in ("models/releases.json", "hotlists/stolen.list", "halts/halts.json"):
            config.targets[path] = TargetFile.from_data(path, b"{}", ["sha256"])

    here.fragment(MARKET)
    resigned(maintainer, "config", change, maintainer.config)
    client = box.client(maintainer.public)
    assert [each.version for each in client.releases()] == ["1"]
    assert client.target("hotlists/stolen.list") is None
    assert client.halts() == {}


class TestCertificates:
    def test_renewed_certificate_takes_the_place_of_the_one_in_the_file(self, here, authority):
        fresh = authority.renew("a_b", days=90)
        assert here.certificate(fresh)[0][0] == "kept"
        (row,) = here.fragments.report().items()
        assert row[0] == "certificate"
        assert (row[1]["v"], row[1]["state"]) == (label_of(fresh), "active")
        config, _ = here.fragments.lay_over(load(here.file), 6)
        assert config.brokers["office"].cert == certificates.place(here.state)
        assert config.brokers["office"].key == here.file.parent / "box.key"
        assert here.certificate(fresh) == []

    def test_certificate_that_was_put_into_the_file_since_is_preferred(self, here, authority):
        here.certificate(authority.renew("a_b", days=90))
        (here.file.parent / "box.pem").write_bytes(authority.renew("a_b", days=300))
        config, _ = here.fragments.lay_over(load(here.file), 6)
        assert config.brokers["office"].cert == here.file.parent / "box.pem"
        assert here.certificate(authority.renew("a_b", days=100)) == []

    def test_certificate_for_another_key_is_refused(self, here, authority):
        cert, _ = authority.issue("a_b", days=90)  # a new key
        ((state, why),) = here.certificate(cert.read_bytes())
        assert (state, why) == ("refused", "the certificate does not fit this box's key")
        assert not certificates.place(here.state).exists()
        (told,) = here.fragments.untold()
        assert told.word == "certificate-key"
        here.fragments.forgive(next(iter(here.fragments.state().refused)))
        assert here.fragments.state().refused == {}
        here.certificate(cert.read_bytes())
        assert {key: row["why"] for key, row in here.fragments.report().items()} == {
            "certificate": "certificate-key"
        }

    def test_certificate_waits_where_the_box_shows_none_that_can_be_read(self, here, authority):
        fresh = authority.renew("a_b", days=90)
        config = here.file.read_text()
        here.file.write_text(config.replace(", cert: box.pem, key: box.key", ""))
        ((state, _),) = here.certificate(fresh)
        assert (state, here.fragments.state().refused) == ("waiting", {})
        here.file.write_text(config)
        assert here.certificate(fresh)[0][0] == "kept"

    def test_certificate_of_another_name_is_refused(self, here, authority):
        ((state, why),) = here.certificate(authority.renew("a_b", days=90, named="a_c"))
        assert (state, "other names" in why) == ("refused", True)

    def test_certificate_that_somebody_else_has_signed_is_refused(self, here, authority, tmp_path):
        (tmp_path / "thief").mkdir()
        thief = Certificates(tmp_path / "thief")  # with the same name as the real one
        ((state, why),) = here.certificate(thief.renew("a_b", days=90, of=authority))
        assert (state, why) == ("refused", "the certificate is not signed by its issuer")

    @pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n", b"\x00" * 99])
    def test_file_that_is_no_certificate_is_refused(self, here, content):
        ((state, why),) = here.certificate(content)
        assert (state, "no PEM certificate" in why) == ("refused", True)

    def test_private_key_never_travels(self, here, authority):
        key = (here.file.parent / "box.key").read_bytes()
        ((state, why),) = here.certificate(authority.renew("a_b", days=90) + key)
        assert (state, "never travels" in why) == ("refused", True)


def test_label_is_what_the_box_shows():
    assert label_of(MARKET) == version(label_of(MARKET) + "x" * 52)
