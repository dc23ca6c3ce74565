"""Lists on a box over time: loaded, renewed, refused, expired, and over restarts."""

import logging
import os

import pytest
from office import NOW_MS

from agent.hotlist.hotlist import DAY_MS
from agent.hotlist.shelf import Shelf

PLATE, OTHER = "UZ 01A123BC", "UZ 75B777AA"
MINUTE_MS = 60_000


@pytest.fixture
def shelf(office):
    """A shelf for one list; each call is the box's next start."""
    return lambda **what: Shelf([office.source(**what)], office.folder / "kept")


def whys(shelf, utc_ms=NOW_MS):
    return [news.why for news in shelf.look(utc_ms)]


def versions(shelf, utc_ms=NOW_MS):
    return [hotlist.version for hotlist in shelf.in_force(utc_ms)]


def spoil(file, at=60):
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


def test_shelf_takes_a_list_and_tells_version_size_and_hash_once(office, shelf):
    office.make(PLATE, OTHER, version=3)
    box = shelf()
    assert box.in_force(NOW_MS) == []
    (news,) = box.look(NOW_MS)
    (hotlist,) = box.in_force(NOW_MS)
    assert (news.hotlist, news.why, news.size) == ("stolen", "loaded", 2)
    assert news.label == f"3/{hotlist.sha256[:16]}"
    assert len(news.label) <= 40
    assert whys(box, NOW_MS + MINUTE_MS) == []


def test_shelf_takes_a_newer_file_when_it_comes(office, shelf):
    office.make(PLATE, version=1)
    box = shelf()
    box.look(NOW_MS)
    office.make(PLATE, version=2)
    assert (whys(box), versions(box)) == (["loaded"], [2])


def test_shelf_file_that_is_only_touched_is_no_news(office, shelf):
    file = office.make(PLATE)
    box = shelf()
    box.look(NOW_MS)
    os.utime(file, (1, 1))
    assert (whys(box), versions(box)) == ([], [1])


@pytest.mark.parametrize(
    ("spoilt", "why"),
    [
        (lambda office: spoil(office.folder / "stolen.list"), "refused-signature"),
        (lambda office: (office.folder / "stolen.list").write_bytes(b""), "refused-damaged"),
        (lambda office: (office.folder / "stolen.list").unlink(), "refused-missing"),
        (lambda office: office.make(OTHER, signers=("thief",), version=9), "refused-signature"),
        (lambda office: office.make(OTHER, boxes=("south",), version=9), "refused-key"),
        (lambda office: office.make(OTHER, made_ms=NOW_MS - 8 * DAY_MS, version=9),
         "refused-expired"),
        (lambda office: office.make(OTHER, made_ms=NOW_MS + DAY_MS, version=9), "refused-future"),
        (lambda office: office.make(OTHER, version=1), "refused-older"),
        (lambda office: office.make(OTHER, version=2), "refused-older"),
    ],
)  # fmt: skip
def test_shelf_refused_file_is_told_once_and_the_list_before_stays_to_its_end(
    office, shelf, spoilt, why
):
    office.make(PLATE, version=2)
    box = shelf()
    box.look(NOW_MS)
    spoilt(office)
    assert whys(box) == [why]
    assert whys(box, NOW_MS + MINUTE_MS) == []
    assert versions(box) == [2]
    assert versions(box, NOW_MS + 7 * DAY_MS - 1) == [2]
    assert versions(box, NOW_MS + 7 * DAY_MS) == []


def test_shelf_refused_file_is_taken_once_it_is_mended(office, shelf):
    file = office.make(PLATE)
    content = file.read_bytes()
    spoil(file)
    box = shelf()
    assert whys(box) == ["refused-signature"]
    file.write_bytes(content)
    assert (whys(box), versions(box)) == (["loaded"], [1])


def test_shelf_list_that_comes_later_is_taken_then(office, shelf):
    box = shelf()
    assert whys(box) == ["refused-missing"]
    assert whys(box) == []
    office.make(PLATE)
    assert whys(box) == ["loaded"]


def test_shelf_list_ends_once_and_a_new_one_is_taken_after(office, shelf):
    office.make(PLATE)
    box = shelf()
    box.look(NOW_MS)
    end_ms = NOW_MS + 7 * DAY_MS
    assert whys(box, end_ms - 1) == []
    assert whys(box, end_ms) == ["expired"]
    assert whys(box, end_ms + MINUTE_MS) == []
    office.make(PLATE, version=2, made_ms=end_ms)
    assert whys(box, end_ms + 2 * MINUTE_MS) == ["loaded"]


def test_shelf_list_older_than_max_age_ends(office, shelf):
    office.make(PLATE)
    box = shelf(max_age_s=86_400)
    box.look(NOW_MS)
    assert versions(box, NOW_MS + DAY_MS - 1) == [1]
    assert versions(box, NOW_MS + DAY_MS) == []
    assert whys(box, NOW_MS + DAY_MS) == ["too-old"]


def test_shelf_takes_a_list_once_the_clock_is_set(office, shelf):
    office.make(PLATE)
    box = shelf()
    assert whys(box, 12_345) == ["refused-future"]
    assert whys(box, 72_345) == []
    assert (whys(box), versions(box)) == (["loaded"], [1])


def test_shelf_clock_that_steps_back_ends_a_list_and_brings_it_again(office, shelf):
    office.make(PLATE)
    box = shelf()
    box.look(NOW_MS)
    assert whys(box, NOW_MS - DAY_MS) == ["future"]
    assert (whys(box), versions(box)) == (["kept"], [1])
    assert whys(box, NOW_MS + MINUTE_MS) == []


def test_shelf_after_a_restart_in_1970_with_a_spoilt_file_waits_for_the_clock(office, shelf):
    file = office.make(PLATE, version=4)
    shelf().look(NOW_MS)
    spoil(file)
    box = shelf()
    assert (whys(box, 12_345), versions(box, 12_345)) == (["refused-signature"], [])
    assert (whys(box), versions(box)) == (["kept"], [4])


def test_shelf_after_a_restart_loads_the_same_list_again(office, shelf):
    office.make(PLATE)
    shelf().look(NOW_MS)
    box = shelf()
    assert (whys(box), versions(box)) == (["loaded"], [1])


def test_shelf_after_a_restart_with_a_spoilt_file_keeps_the_list_before(office, shelf):
    file = office.make(PLATE, version=4)
    shelf().look(NOW_MS)
    spoil(file)
    box = shelf()
    assert whys(box) == ["refused-signature", "kept"]
    assert versions(box) == [4]
    assert box.in_force(NOW_MS)[0].find("UZ", "01A123BC", NOW_MS)
    assert whys(box, NOW_MS + 7 * DAY_MS) == ["expired"]


def test_shelf_rollback_over_a_restart_is_refused_even_when_the_newer_list_has_expired(
    office, shelf
):
    office.make(PLATE, version=5, life_ms=DAY_MS)
    shelf().look(NOW_MS)
    office.make(OTHER, version=4, life_ms=30 * DAY_MS)
    later_ms = NOW_MS + 2 * DAY_MS
    box = shelf()
    assert (whys(box, later_ms), versions(box, later_ms)) == (["refused-older"], [])


def test_shelf_copy_is_sealed_as_it_came_and_private(office, shelf):
    file = office.make(PLATE)
    shelf().look(NOW_MS)
    copy = office.folder / "kept" / "stolen.list"
    assert copy.read_bytes() == file.read_bytes()
    assert copy.parent.stat().st_mode & 0o077 == 0


def test_shelf_spoilt_copy_is_of_no_consequence(office, shelf):
    office.make(PLATE)
    shelf().look(NOW_MS)
    spoil(office.folder / "kept" / "stolen.list")
    box = shelf()
    assert (whys(box), versions(box)) == (["loaded"], [1])


def test_shelf_forgets_the_copy_of_a_list_that_is_no_longer_configured(office, shelf):
    office.make(PLATE)
    shelf().look(NOW_MS)
    Shelf([office.source("local")], office.folder / "kept")
    assert list((office.folder / "kept").iterdir()) == []


def test_shelf_that_cannot_delete_such_a_copy_goes_on(office, caplog):
    (office.folder / "kept" / "stolen.list").mkdir(parents=True)  # root may delete any file
    office.make(PLATE, name="local", file="local.list")
    box = Shelf([office.source("local")], office.folder / "kept")
    assert whys(box) == ["loaded"]
    assert "stolen.list: cannot be deleted" in caplog.text


def test_shelf_that_cannot_keep_a_copy_goes_on(office, shelf):
    office.make(PLATE)
    (office.folder / "kept").write_text("a file in the way")
    box = shelf()
    assert (whys(box), versions(box)) == (["loaded"], [1])
    (office.folder / "kept").unlink()
    box.look(NOW_MS + MINUTE_MS)
    assert [path.name for path in (office.folder / "kept").iterdir()] == ["stolen.list"]


def test_shelf_several_lists_are_kept_apart(office):
    office.make(PLATE)
    office.make(OTHER, name="local", file="local.list", signers=("city",))
    sources = [office.source(), office.source("local", ("city",))]
    box = Shelf(sources, office.folder / "kept")
    assert [(news.hotlist, news.why) for news in box.look(NOW_MS)] == [
        ("stolen", "loaded"),
        ("local", "loaded"),
    ]
    assert [hotlist.name for hotlist in box.in_force(NOW_MS)] == ["stolen", "local"]


def test_shelf_log_has_no_plate(office, shelf, caplog):
    with caplog.at_level(logging.DEBUG):
        file = office.make(PLATE)
        box = shelf()
        box.look(NOW_MS)
        box.in_force(NOW_MS)[0].find("UZ", "01A123BC", NOW_MS)
        spoil(file)
        box.look(NOW_MS)
        box.look(NOW_MS + 8 * DAY_MS)
    assert len(caplog.messages) == 3
    assert "01A123BC" not in caplog.text
    assert "theft" not in caplog.text


def test_list_that_came_over_the_air_counts_where_it_was_written_last(office, tmp_path):
    arrived = tmp_path / "arrived"
    arrived.mkdir()
    box = Shelf([office.source()], office.folder / "kept", arrived)
    file = office.make(PLATE, version=3)
    assert whys(box) == ["loaded"]
    over_the_air = arrived / file.name
    over_the_air.write_bytes(office.make(PLATE, OTHER, version=4).read_bytes())
    office.make(PLATE, version=3)  # what lies in its own file is older
    os.utime(file, (1, 1))
    assert (whys(box), versions(box)) == (["loaded"], [4])
    office.make(PLATE, version=5)
    os.utime(over_the_air, (1, 1))
    assert (whys(box), versions(box)) == (["loaded"], [5])
    over_the_air.write_bytes(b"noise")
    os.utime(file, (1, 1))
    assert (whys(box), versions(box)) == (["refused-damaged"], [5])
