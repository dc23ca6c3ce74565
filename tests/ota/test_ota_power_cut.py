"""kill -9 at every step that touches the file system: always a working slot."""

from __future__ import annotations

import os
import resource
import signal
import sys

import pytest
from securesystemslib.signer import CryptoSigner

from agent.errors import UpdateError

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

STEPS = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.symlink", "shutil.rmtree"}


def touches(event: str, arguments: tuple) -> bool:
    """Opening for writing counts; fsync has no event of its own and changes nothing to see."""
    if event == "open":
        return isinstance(arguments[2], int) and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
    return event in STEPS


def killed_at(step: int, work) -> bool:
    """Run `work` in a child that SIGKILLs itself before its n-th step; False: it got through."""
    child = os.fork()
    if child == 0:
        left = step

        def count(event, arguments):
            nonlocal left
            if touches(event, arguments):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)  # sees the interpreter's own calls: no step can be forgotten
        try:
            work()
            os._exit(0)
        finally:  # whatever was raised ends here, not in the test around it
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def test_update_killed_at_any_step_leaves_a_working_slot(maintainer, box):
    maintainer.release("1")
    box.apply(maintainer.public)
    assert box.active == "1"
    active, seen, steps = "1", set(), 0
    for version in ("2", "3"):  # into either slot
        maintainer.release(version)
        for step in range(10_000):
            was_killed = killed_at(step, lambda: box.apply(maintainer.public))
            steps += was_killed
            assert box.active in (active, version), step
            seen.add((version, box.active))
            if not was_killed:
                break
            if box.active == version:  # the flip is done; step on from before it
                box.models.slots.flip()
                assert box.active == active, step
        assert box.active == version
        active = version
    assert steps > 40
    assert len(seen) == 4


def test_rollback_killed_at_any_step_leaves_a_working_slot(maintainer, box):
    for version in ("1", "2"):
        maintainer.release(version)
        box.apply(maintainer.public)
    for step in range(100):
        was_killed = killed_at(step, lambda: box.models.roll_back(1))
        assert box.active in ("1", "2")
        if not was_killed or box.active == "1":
            break
    assert box.active == "1"
    assert step > 3
    (outcome,) = box.apply(maintainer.public)
    assert outcome.why == "refused before: rolled back on this box"


def test_first_update_killed_at_any_step_leaves_the_installed_models_or_the_new(maintainer, box):
    maintainer.release("1")
    for step in range(10_000):
        was_killed = killed_at(step, lambda: box.apply(maintainer.public))
        assert box.active in (None, "1"), step
        if not was_killed:
            break
        if box.active:
            box.models.slots.to_installed()
    assert box.active == "1"
    assert step > 20


def test_package_that_kills_the_update_itself_is_refused_at_the_fourth_look(maintainer, box):
    """As where memory runs out and the kernel takes the update, not the child that swells."""
    maintainer.release("1")
    box.apply(maintainer.public)
    maintainer.release("2")

    def kill(*_args):
        os.kill(os.getpid(), signal.SIGKILL)

    for _ in range(3):
        assert killed_at(10_000, lambda: box.apply(maintainer.public, gate=kill))
    (outcome,) = box.apply(maintainer.public, gate=kill)
    assert (outcome.state, outcome.why) == (
        "refused",
        "trying it out killed the update itself 3 times",
    )
    assert box.active == "1"
    (outcome,) = box.apply(maintainer.public, again=True)
    assert (outcome.state, box.active) == ("active", "2")


@pytest.mark.parametrize("how", ["go-live", "confirm", "fail", "roll-back", "end"])
def test_trial_killed_at_any_step_leaves_a_working_slot_and_can_be_ended(maintainer, box, how):
    """Whatever the daemon was about to do; after the next start the trial is still judged."""
    maintainer.release("1")
    box.apply(maintainer.public)
    maintainer.release("2")
    steps = {
        "go-live": lambda: box.models.go_live(1),
        "confirm": box.models.confirm,
        "fail": lambda: box.models.fail("slow", "slow", 1),
        "roll-back": lambda: box.models.roll_back(1),
        "end": box.models.end_trial,
    }
    box.apply(maintainer.public, at_once=False)
    if how != "go-live":
        box.models.go_live(1)
    for step in range(1000):
        was_killed = killed_at(step, steps[how])
        assert box.active in ("1", "2"), step
        if not was_killed:
            break
        box.models.started("boot", 1)
        trial = box.models.trial()
        assert box.active == ("2" if trial and trial.phase == "live" else box.active), step
        if trial is None:  # done but for its last step
            break
        box.models.stopped()
    assert box.active == ("2" if how in ("go-live", "confirm") else "1")
    assert step > 1


@pytest.mark.parametrize("room_bytes", [0, 1, 100, 400, 1000, 3000, 7000])
def test_file_that_breaks_off_in_the_middle_leaves_a_working_slot(maintainer, box, room_bytes):
    """A disk that fills up while a file is written: no file gets longer than that."""
    maintainer.release("1")
    box.apply(maintainer.public)
    maintainer.release("2")
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, resource.RLIM_INFINITY))
        try:
            box.apply(maintainer.public)
        except (UpdateError, OSError):
            os._exit(3)
        finally:
            os._exit(1)
    assert os.WEXITSTATUS(os.waitpid(child, 0)[1]) == 3
    assert box.active == "1"
    assert box.models.memory().refused == {}
    assert [each.state for each in box.apply(maintainer.public)] == ["active"]
    assert box.active == "2"


def test_publish_killed_at_any_step_leaves_a_repository_that_boxes_follow(maintainer, box):
    maintainer.release("1")
    box.apply(maintainer.public)
    maintainer.add("2")
    for step in range(1000):
        was_killed = killed_at(step, maintainer.publish)
        box.apply(maintainer.public)
        if not was_killed:
            break
    assert box.active == "2"
    assert step > 10


def test_rotation_killed_at_any_step_is_made_good_by_the_next_renewal(maintainer, box):
    maintainer.release("1")
    box.apply(maintainer.public)
    keys = maintainer.root
    for step in range(1000):
        old, fresh = keys[0], CryptoSigner.generate_ed25519()
        signers, public = [*keys, fresh], (fresh.public_key, old.public_key)

        def rotate(signers=signers, public=public):
            maintainer.at().rotate("root", *public, signers)

        was_killed = killed_at(step, rotate)
        maintainer.at().renew([maintainer.online])
        box.apply(maintainer.public)
        if fresh.public_key.keyid in maintainer.at()._offline()[0].roles["root"].keyids:
            keys = [*keys[1:], fresh]
        if not was_killed:
            break
    assert step > 5
    maintainer.release("2")
    box.apply(maintainer.public)
    assert box.active == "2"
