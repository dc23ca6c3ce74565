"""A trial from its first frame to its confirmation, and every way in which it ends badly."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from ota_maintainer import NOW, days, release

from agent.capture.pictures import RgbPicture
from agent.clock import ManualClock
from agent.config.load import load
from agent.errors import UpdateError
from agent.infer.package import find_package, read_card
from agent.ota import figures, hold
from agent.ota.box_models import BoxModels
from agent.ota.figures import ERRORS
from agent.ota.hold import Hold
from agent.ota.packing import pack
from agent.ota.release import Limits
from agent.ota.slots import Entry
from agent.ota.trial import LIVE, SHADOW
from agent.pipeline import Eyes, Seen
from agent.proving import Proving
from agent.records import Box, Detection, Frame

FACE = Path(__file__).parents[2] / "models" / "face"
VERSION = read_card(FACE).version
AGENT = """\
site: alpomish
box: north-gate
cameras: {gate: {role: face, source: "synthetic:street"}}
brokers: {office: {url: "mqtt://127.0.0.1:1"}}
"""


@pytest.fixture
def state(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))
    monkeypatch.delenv("MAHALLA_MODELS", raising=False)
    monkeypatch.setattr(figures, "ENOUGH_FRAMES", 5)
    monkeypatch.setattr(figures, "ENOUGH_FOUND", 10)
    for name in ("_LOOK_S", "_JUDGE_S"):
        monkeypatch.setattr(f"agent.proving.{name}", 0.0)
    monkeypatch.setattr("agent.proving.not_now", lambda: None)
    return folder


@pytest.fixture
def models(state) -> BoxModels:
    (state / "ota").mkdir()
    return BoxModels(state)


def newer(models: BoxModels, tmp_path: Path, version: str) -> Entry:
    """The installed face model under another version, kept in the store."""
    folder = tmp_path / version / "face"
    shutil.copytree(FACE, folder)
    card = folder / "model.toml"
    card.write_text(card.read_text().replace(f'"{VERSION}"', f'"{version}"'))
    packed = tmp_path / f"{version}.tar"
    pack(folder, packed)
    sha256 = version.replace(".", "")[-1] * 64
    models.slots.keep("face", sha256, packed)
    return Entry(sha256=sha256, version=version, serial=1, over=read_card(FACE).sha256)


class Daemon:
    """The daemon's side with one camera that looks at grey pictures."""

    def __init__(self, state: Path, tmp_path: Path) -> None:
        (tmp_path / "agent.yaml").write_text(AGENT)
        self.config = load(tmp_path / "agent.yaml")
        (camera,) = self.config.cameras.values()
        object.__setattr__(camera, "source", "clip:nothing")  # a face camera; nobody opens it
        self.clock = ManualClock(utc_ms=1_780_000_000_000)
        eyes = Eyes([camera], self.config.infer)
        self.proving = Proving(state, eyes, self.config, self.clock, boot="boot")
        self.beside = self.proving.beside(camera)
        self.seq = 0

    @property
    def speaks(self) -> str:
        return self.proving.eyes.models["face"].package.version

    def look(self, frames: int, faces: int = 0, ms: float = 1e6) -> None:
        """What the pipeline that speaks saw, told to the one beside it; 0.1 s a frame."""
        face = Detection(kind="face", score=0.9, box=Box(x0=0.1, y0=0.1, x1=0.2, y1=0.2))
        for _ in range(frames):
            self.seq += 1
            frame = Frame(
                camera_id="gate",
                seq=self.seq,
                t_mono_ns=self.seq * 100_000_000,
                t_utc_ms=0,
                clock_synced=True,
                picture=RgbPicture(np.full((64, 64, 3), 128, np.uint8)),
            )
            seen = Seen(
                detections=[face] * faces, tracks=[], messages=[], detect_ms=ms, rest_ms=0.0
            )
            self.beside.frame(frame, seen)

    def tick(self) -> list[tuple[str, str, str]]:
        return [(each.kind, each.what, each.why) for each in self.proving.tick()]


@pytest.fixture
def daemon(state, tmp_path) -> Daemon:
    return Daemon(state, tmp_path)


QUICK = Limits(shadow_s=1, live_s=1, slower_percent=1000)


def test_good_model_goes_live_and_is_confirmed(models, daemon, tmp_path):
    models.begin({"face": newer(models, tmp_path, "0.7.1")}, {"face": QUICK}, 1)
    assert daemon.tick() == []
    assert models.report()["face"]["state"] == SHADOW
    assert daemon.speaks == VERSION == find_package("face").version
    daemon.look(50)
    assert daemon.tick() == [("model.updated", "face 0.7.1", "trial")]
    assert daemon.speaks == "0.7.1" == find_package("face").version
    assert models.report()["face"]["state"] == LIVE
    assert daemon.tick() == []
    daemon.look(50, ms=0.001)  # its own time; the old one beside it takes longer
    assert daemon.tick() == [("model.updated", "face 0.7.1", "confirmed")]
    assert models.report()["face"] == {"v": "0.7.1", "n": 1, "state": "active"}
    assert models.trial() is None
    assert daemon.tick() == []


def test_model_that_sees_less_in_the_shadow_never_speaks(models, daemon, tmp_path):
    models.begin({"face": newer(models, tmp_path, "0.7.1")}, {"face": QUICK}, 1)
    daemon.tick()
    daemon.look(20, faces=1)
    assert daemon.tick() == [("model.rolled-back", "face 0.7.1", "fewer-seen")]
    assert daemon.speaks == VERSION
    row = models.report()["face"]
    assert (row["state"], row["why"]) == ("refused", "fewer-seen")
    assert daemon.tick() == []  # told once


def test_model_that_sees_ghosts_when_live_is_taken_back_at_once(models, daemon, tmp_path):
    models.begin({"face": newer(models, tmp_path, "0.7.1")}, {"face": QUICK}, 1)
    daemon.tick()
    daemon.look(50)
    daemon.tick()
    assert daemon.speaks == "0.7.1"
    daemon.look(20, faces=1, ms=0.001)  # the old one sees none of them on the same pictures
    assert daemon.tick() == [("model.rolled-back", "face 0.7.1", "more-seen")]
    assert daemon.speaks == VERSION == find_package("face").version
    with pytest.raises(UpdateError, match="nothing to go back to"):
        models.roll_back(1)


def test_failed_live_model_gives_way_to_the_update_before_it(models, state, tmp_path):
    models.slots.activate({"face": newer(models, tmp_path, "0.7.1")})
    daemon = Daemon(state, tmp_path)
    assert daemon.speaks == "0.7.1"
    models.begin({"face": newer(models, tmp_path, "0.7.2")}, {"face": QUICK}, 1)
    daemon.tick()
    daemon.look(50)
    daemon.tick()
    assert daemon.speaks == "0.7.2"
    daemon.look(20, faces=1)
    daemon.tick()
    assert daemon.speaks == "0.7.1" == find_package("face").version


def test_model_that_fails_on_frames_is_refused_and_the_camera_goes_on(
    models, daemon, tmp_path, monkeypatch
):
    models.begin({"face": newer(models, tmp_path, "0.7.1")}, {"face": QUICK}, 1)
    daemon.tick()
    monkeypatch.setattr("agent.pipeline.CameraPipeline.frame", lambda *_: 1 / 0)
    daemon.look(5)
    assert daemon.tick() == [("model.rolled-back", "face 0.7.1", "errors")]


def test_model_that_raises_where_it_speaks_counts_against_it(models, daemon, tmp_path):
    models.begin({"face": newer(models, tmp_path, "0.7.1")}, {"face": QUICK}, 1)
    daemon.tick()
    daemon.look(50)
    assert daemon.tick() == [("model.updated", "face 0.7.1", "trial")]
    for _ in range(ERRORS):
        with pytest.raises(ZeroDivisionError), daemon.beside.speaking():
            raise ZeroDivisionError
    assert daemon.tick() == [("model.rolled-back", "face 0.7.1", "errors")]
    assert daemon.speaks == VERSION


def test_model_that_does_not_open_is_refused(models, daemon, tmp_path):
    entry = newer(models, tmp_path, "0.7.1")
    (file,) = models.slots.stored("face", entry.sha256).glob("*.tflite")
    file.write_bytes(b"")
    models.begin({"face": entry}, {"face": QUICK}, 1)
    assert daemon.tick() == [("model.rolled-back", "face 0.7.1", "does-not-open")]
    assert daemon.speaks == VERSION


def test_model_that_no_camera_uses_has_nothing_to_show(models, daemon, tmp_path):
    folder = shutil.copytree(FACE.parent / "object", tmp_path / "object")
    pack(folder, tmp_path / "object.tar")
    models.slots.keep("object", "0" * 64, tmp_path / "object.tar")
    over = read_card(folder).sha256
    entry = Entry(sha256="0" * 64, version="1", serial=1, over=over)
    models.begin({"object": entry}, {"object": QUICK}, 1)
    daemon.tick()
    daemon.tick()
    assert models.trial() is None
    assert models.report()["object"]["state"] == "active"


def test_nothing_goes_live_while_the_board_is_hot(models, daemon, tmp_path, monkeypatch):
    models.begin({"face": newer(models, tmp_path, "0.7.1")}, {"face": QUICK}, 1)
    daemon.tick()
    daemon.look(50)
    monkeypatch.setattr("agent.proving.not_now", lambda: "hot")
    assert daemon.tick() == []
    assert daemon.speaks == VERSION
    monkeypatch.setattr("agent.proving.not_now", lambda: None)
    assert len(daemon.tick()) == 1
    assert daemon.speaks == "0.7.1"


def test_what_was_seen_before_a_restart_counts(models, state, tmp_path):
    models.begin({"face": newer(models, tmp_path, "0.7.1")}, {"face": Limits(shadow_s=3)}, 1)
    for restart in range(3):
        daemon = Daemon(state, tmp_path)
        models.started("boot", 1)
        daemon.tick()
        daemon.look(35)
        daemon.proving.stop()
        models.stopped()
        assert models.trial().watched_s == pytest.approx(3.5 * (restart + 1), abs=0.6)
        assert models.trial().crashes == 0


def test_three_crashes_are_a_failure(models, state, tmp_path):
    models.begin({"face": newer(models, tmp_path, "0.7.1")}, {"face": QUICK}, 1)
    models.go_live(2)
    assert find_package("face").version == "0.7.1"
    for crashes in range(3):
        models.started("boot", 3)
        assert models.trial().crashes == crashes
    models.started("boot", 4)
    assert models.trial() is None
    assert find_package("face").version == VERSION
    daemon = Daemon(state, tmp_path)
    assert daemon.tick() == [("model.rolled-back", "face 0.7.1", "crashes")]


def test_power_cuts_are_no_crashes_unless_each_start_ends_in_one(models, tmp_path):
    from dataclasses import replace

    models.begin({"face": newer(models, tmp_path, "0.7.1")}, {"face": QUICK}, 1)
    for number in range(9):
        models.started(f"boot-{number}", 1)
        models.keep(replace(models.trial(), running=(f"boot-{number}", True)))  # it ran for long
    assert (models.trial().crashes, models.trial().blips) == (0, 0)
    for number in range(6):
        models.started(f"again-{number}", 1)
        assert models.trial().crashes == 0
    models.started("again-6", 1)
    assert models.trial() is None
    assert models.report()["face"]["why"] == "power"


def test_trial_that_the_office_wants_held_stays_in_the_shadow(models, daemon, tmp_path):
    models.begin({"face": newer(models, tmp_path, "0.7.1")}, {"face": QUICK}, 1)
    daemon.tick()
    hold.save(models.ota, hold.asked(b'{"hold":["face"]}', daemon.clock.now().utc_ms, Hold()))
    daemon.look(50)
    assert daemon.tick() == []
    hold.save(models.ota, hold.asked(b"", 1, Hold()))
    assert daemon.tick() == [("model.updated", "face 0.7.1", "trial")]


def test_want_that_is_said_again_holds_no_longer():
    day_ms = 86_400_000
    for until, days_held in (("", 7), (',"until":9000000000000000', 30)):
        body = f'{{"hold":["face"]{until}}}'.encode()
        held = hold.asked(body, 1, Hold())
        for day in range(40):
            held = hold.asked(body, 1 + day * day_ms, held)
            assert held.holds("face", 1 + day * day_ms) == (day < days_held)


OTHER_FORMS = [
    *(b"[]", b"{", b'{"hold":"face"}', b'{"hold":[1]}', b'{"hold":["../x"]}', b"\xff"),
    *(b"[" * 9999, b'{"hold":["face"],"until":"x"}', b'{"hold":["face"],"until":1e999}'),
]


@pytest.mark.parametrize("body", OTHER_FORMS)
def test_want_of_another_form_holds_nothing(body):
    assert hold.asked(body, 1, Hold()) is None


def test_trial_on_a_camera_that_sleeps_all_day_comes_to_its_end(models, daemon, tmp_path):
    models.begin({"face": newer(models, tmp_path, "0.7.1")}, {"face": QUICK}, 1)
    assert daemon.tick() == []
    daemon.proving._ticked_s -= 3
    assert daemon.tick() == []
    daemon.proving._ticked_s -= 1  # four times its length, and not one frame
    assert daemon.tick() == [("model.updated", "face 0.7.1", "unseen")]
    assert models.trial().waited_s == 0
    daemon.tick()
    daemon.proving._ticked_s -= 4
    assert daemon.tick() == [("model.updated", "face 0.7.1", "unseen")]


def test_update_that_takes_hours_keeps_the_daemon_from_nothing(models, daemon, tmp_path):
    """On a thin line: what is live is judged, taken back, its crashes are counted meanwhile."""
    models.begin({"face": newer(models, tmp_path, "0.7.1")}, {"face": QUICK}, 1)
    daemon.tick()
    with BoxModels(models.state).updating():
        daemon.look(50)
        assert daemon.tick() == [("model.updated", "face 0.7.1", "trial")]
        models.started("boot", 3)
        assert models.trial().crashes == 1
        daemon.look(20, faces=1, ms=0.001)
        assert daemon.tick() == [("model.rolled-back", "face 0.7.1", "more-seen")]
    assert daemon.speaks == VERSION


def test_slot_that_a_live_trial_would_go_back_to_is_not_built_over(models, tmp_path):
    models.begin({"face": newer(models, tmp_path, "0.7.1")}, {"face": QUICK}, 1)
    models.go_live(2)
    with pytest.raises(UpdateError, match="judged first"):
        models.begin({"face": newer(models, tmp_path, "0.7.2")}, {"face": QUICK}, 3)
    assert find_package("face").version == "0.7.1"
    models.fail("slow", "slow", 4)
    assert find_package("face").version == VERSION


def test_power_cut_between_the_two_steps_of_going_live_is_made_good(models, tmp_path, monkeypatch):
    models.begin({"face": newer(models, tmp_path, "0.7.1")}, {"face": QUICK}, 1)
    monkeypatch.setattr(models.slots, "flip", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        models.go_live(2)
    again = BoxModels(models.state)
    again.started("boot", 3)
    assert again.trial().phase == LIVE
    assert find_package("face").version == "0.7.1"


def test_agent_installed_in_the_middle_of_a_trial_ends_it(models, tmp_path, monkeypatch):
    models.begin({"face": newer(models, tmp_path, "0.7.1")}, {"face": QUICK}, 1)
    models.go_live(2)
    for module in ("box_models", "slots"):
        monkeypatch.setattr(f"agent.ota.{module}.installed_sha256", lambda name: "another")
    models.started("boot", 3)
    assert models.trial() is None
    assert find_package("face").version == VERSION
    assert models.memory().refused == {}


def test_newer_installed_model_is_not_hidden_by_an_older_update(models, tmp_path, monkeypatch):
    models.slots.activate({"face": newer(models, tmp_path, "0.5.9")})
    assert find_package("face").version == "0.5.9"
    monkeypatch.setattr("agent.ota.slots.installed_sha256", lambda name: "another")
    models.started("boot", 1)
    assert find_package("face").version == VERSION
    assert models.slots.active() == {}


def test_rollback_by_hand_ends_a_trial(models, daemon, tmp_path):
    models.begin({"face": newer(models, tmp_path, "0.7.1")}, {"face": QUICK}, 1)
    daemon.tick()
    daemon.look(50)
    daemon.tick()
    assert models.roll_back(5) == {}
    assert daemon.tick() == [("model.rolled-back", "face 0.7.1", "by-hand")]
    assert daemon.speaks == VERSION


@pytest.mark.parametrize("content", ["", "{", "[]", '{"phase":"x"}', "\x00" * 99])
def test_damaged_files_are_set_aside_and_updates_go_on(models, daemon, tmp_path, content):
    """A worn card, and nobody there to remove them."""
    for name in ("memory.json", "trial.json", "floors.json", "hold.json", "history.json"):
        (models.ota / name).write_text(content)
    assert daemon.tick() == []
    assert daemon.speaks == VERSION
    assert daemon.proving.report() == {}
    assert (models.ota / "trial.json.damaged").read_text() == content
    models.begin({"face": newer(models, tmp_path, "0.7.1")}, {"face": QUICK}, 1)
    daemon.tick()
    daemon.look(50)
    assert daemon.tick() == [("model.updated", "face 0.7.1", "trial")]


class TestReleases:
    """The same from a repository on."""

    def test_release_is_put_on_trial_and_not_offered_twice(self, maintainer, box):
        maintainer.release("1")
        (outcome,) = box.apply(maintainer.public, at_once=False)
        assert outcome.state == "trial"
        (outcome,) = box.apply(maintainer.public, at_once=False)
        assert (outcome.state, outcome.why) == ("trial", "is on trial")
        assert (box.active, box.tried) == (None, ["1"])
        maintainer.release("2")
        box.apply(maintainer.public, at_once=False)
        assert box.models.trial().models["face"].version == "2"

    def test_what_is_live_is_judged_before_anything_newer_is_tried(self, maintainer, box):
        maintainer.release("1")
        box.apply(maintainer.public, at_once=False)
        box.models.go_live(1)
        maintainer.release("2")
        assert box.apply(maintainer.public, at_once=False) == []
        assert box.models.trial().models["face"].version == "1"
        box.models.confirm()
        (outcome,) = box.apply(maintainer.public, at_once=False)
        assert (outcome.version, box.active) == ("2", "1")

    def test_release_that_the_office_wants_held_waits_and_not_for_ever(self, maintainer, box):
        now_ms = round(NOW.timestamp() * 1000)
        maintainer.release("1")
        hold.save(box.models.ota, hold.asked(b'{"hold":["face"],"until":9e15}', now_ms, Hold()))
        (outcome,) = box.apply(maintainer.public)
        assert (outcome.state, outcome.why) == ("waiting", "held")
        box.now = maintainer.now = NOW + days(30)
        maintainer.publish()
        assert box.apply(maintainer.public)[0].state == "active"

    @pytest.mark.parametrize("word", ["hot", "under-voltage"])
    def test_hot_or_under_volted_box_waits(self, maintainer, box, word):
        maintainer.release("1")
        (outcome,) = box.apply(maintainer.public, not_now=lambda: word)
        assert (outcome.state, outcome.why) == ("waiting", word)
        assert box.models.report()["face"]["state"] == "waiting"
        (outcome,) = box.apply(maintainer.public)
        assert outcome.state == "active"
        assert box.models.report()["face"]["state"] == "active"

    def test_trial_that_went_live_during_the_download_is_judged_first(self, maintainer, box):
        maintainer.release("1")
        box.apply(maintainer.public, at_once=False)
        maintainer.release("2")

        def gate(*_args):
            box.models.go_live(1)  # the daemon, meanwhile
            return "tried"

        (outcome,) = box.apply(maintainer.public, at_once=False, gate=gate)
        assert (outcome.state, outcome.why) == ("waiting", "what is live is judged first")
        assert (box.active, box.models.trial().models["face"].version) == ("1", "1")

    def test_refusal_is_told_by_the_daemon(self, maintainer, box, tmp_path, monkeypatch):
        def refuse(*_args):
            raise UpdateError("too slow", why="slow")

        maintainer.release("1")
        box.apply(maintainer.public, gate=refuse)
        monkeypatch.setenv("STATE_DIRECTORY", str(box.models.state))
        daemon = Daemon(box.models.state, tmp_path)
        assert daemon.tick() == [("model.rolled-back", "face 1", "slow")]


def test_releases_speak_of_boards_and_channels():
    for_pi = release(hardware=("raspberry pi 5",), channel="early")
    pi = "aarch64 raspberry pi 5 model b rev 1.0"
    assert for_pi.suits(agent="0.1", hardware=pi, channel="early")
    assert not for_pi.suits(agent="0.1", hardware="x86_64", channel="early")
    assert not for_pi.suits(agent="0.1", hardware=pi, channel="stable")
