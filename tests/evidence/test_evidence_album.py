"""The ring of pictures: bounded, sealed, gone with the process."""

import pytest

from agent.errors import StoreError
from agent.evidence.album import Album

S = 1_000_000_000


@pytest.fixture
def make(tmp_path):
    def build(keep_s=3600.0, max_bytes=10_000):
        return Album(tmp_path / "evidence", keep_s=keep_s, max_bytes=max_bytes)

    return build


def test_picture_is_there_before_and_after_it_is_written(make, tmp_path):
    album = make()
    album.add("a", b"jpeg", 0)
    assert album.get("a") == b"jpeg"
    assert album.get("b") is None
    album.tidy(S)
    assert album.get("a") == b"jpeg"
    assert b"jpeg" not in (tmp_path / "evidence" / "a").read_bytes()


def test_pictures_go_with_their_age_and_the_oldest_for_room(make, tmp_path):
    album = make(keep_s=100, max_bytes=3000)
    for number in range(5):
        album.add(str(number), bytes(1000), number * S)
    album.tidy(10 * S)
    assert [album.get(str(number)) is not None for number in range(5)] == [False] * 3 + [True] * 2
    album.tidy(104 * S)
    assert list((tmp_path / "evidence").iterdir()) == [tmp_path / "evidence" / "4"]
    album.tidy(105 * S)
    assert not list((tmp_path / "evidence").iterdir())


def test_next_start_cannot_read_what_was_kept_and_deletes_it(make, tmp_path):
    album = make()
    album.add("a", b"jpeg", 0)
    album.tidy(S)
    sealed = (tmp_path / "evidence" / "a").read_bytes()
    again = make()
    assert not list((tmp_path / "evidence").iterdir())
    again.add("a", b"other", 0)
    again.tidy(S)
    (tmp_path / "evidence" / "a").write_bytes(sealed)
    assert again.get("a") is None


def test_folder_that_is_none_is_a_store_error(make, tmp_path):
    (tmp_path / "evidence").write_text("a file")
    with pytest.raises(StoreError, match="evidence"):
        make()
