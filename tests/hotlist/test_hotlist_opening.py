"""What opens and what is refused: each refusal is one line that names the file."""

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from office import KINDS, NOW_MS, Office

from agent.errors import HotlistError
from agent.hotlist import opening
from agent.hotlist.hotlist import DAY_MS, ENTRIES_LIMIT
from agent.hotlist.keys import key_id, load_signing_key
from agent.hotlist.opening import open_bytes, open_hotlist
from agent.hotlist.slow_hash import HASH_BYTES, Cost

PLATE = "UZ 01A123BC"


def opened(office, file=None, name="stolen", signers=("office",), box="north"):
    return open_hotlist(
        file or office.folder / "stolen.list",
        name=name,
        signers=[office.signer(signer) for signer in signers],
        keys=[office.box(box)],
    )


def refusal(office, **how) -> tuple[str, str]:
    with pytest.raises(HotlistError) as caught:
        opened(office, **how)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(how.get("file") or office.folder / "stolen.list"))
    assert "01A123BC" not in text
    assert len(f"refused-{caught.value.why}") <= 40
    return caught.value.why, text


def test_list_that_is_right_opens_and_finds_its_plates_and_no_other(office):
    office.make(PLATE, "KG 01123ABC", version=7)
    hotlist = opened(office)
    assert (hotlist.name, hotlist.version, hotlist.size) == ("stolen", 7, 2)
    assert hotlist.label == f"7/{hotlist.sha256[:16]}"
    assert hotlist.expires_ms == NOW_MS + 7 * DAY_MS
    assert hotlist.find("UZ", "01A123BC", NOW_MS).case == "77-0"
    assert hotlist.find("KG", "01123ABC", NOW_MS).reason == "theft"
    assert hotlist.find("UZ", "01123ABC", NOW_MS) is None  # the same text of another country
    assert hotlist.find("UZ", "01A123BD", NOW_MS) is None


def test_list_of_nobody_opens(office):
    office.make()
    assert opened(office).size == 0


@pytest.mark.parametrize("kind", KINDS)
def test_list_sealed_to_several_boxes_opens_with_the_key_of_each(office, kind):
    office.box("south", kind)
    office.make(PLATE, boxes=("north", "south"))
    assert opened(office, box="south").find("UZ", "01A123BC", NOW_MS)
    assert opened(office, box="north").find("UZ", "01A123BC", NOW_MS)


@pytest.mark.parametrize("kind", KINDS)
def test_list_sealed_to_other_boxes_is_refused(office, kind):
    office.box("thief", kind)
    office.make(PLATE)
    assert refusal(office, box="thief")[0] == "key"


def test_list_opens_with_the_second_of_the_keys_that_a_box_has(office):
    file = office.make(PLATE)
    keys = [office.folder / "gone.key", office.box("thief"), office.box("north")]
    assert open_hotlist(file, name="stolen", signers=[office.signer()], keys=keys).size == 1


def test_key_that_cannot_be_read_is_named(office):
    file = office.make(PLATE)
    gone = office.folder / "gone.key"
    with pytest.raises(HotlistError, match=r"gone\.key: No such file"):
        open_hotlist(file, name="stolen", signers=[office.signer()], keys=[gone])


def test_list_signed_by_both_is_accepted_where_both_have_to(office):
    office.make(PLATE, signers=("office", "city"))
    assert opened(office, signers=("city", "office")).size == 1


@pytest.mark.parametrize(
    ("signed", "wanted", "said"),
    [
        (("office",), ("city",), "is not signed by key"),
        (("office",), ("office", "city"), "is not signed by key"),
        (("office", "city"), ("office",), "too; name it as signer or sign anew"),
    ],
)
def test_list_not_signed_by_exactly_those_who_have_to_is_refused(office, signed, wanted, said):
    office.make(PLATE, signers=signed)
    why, text = refusal(office, signers=wanted)
    assert why == "signature"
    assert said in text


def test_list_whose_second_signature_was_taken_off_is_refused(office):
    file = office.make(PLATE, signers=("office", "city"))
    content = file.read_bytes()
    file.write_bytes(content[: -2 * 72 - 1] + b"\x01" + content[-72:])
    assert refusal(office, signers=("office", "city"))[0] == "signature"


def test_list_with_one_signature_twice_is_refused(office):
    file = office.make(PLATE)
    content = file.read_bytes()
    file.write_bytes(content[:-73] + b"\x02" + content[-72:] * 2)
    assert refusal(office)[0] == "damaged"


def test_list_of_another_name_is_refused(office):
    file = office.make(PLATE, name="local")
    why, text = refusal(office, file=file)
    assert (why, "is the list local, not stolen" in text) == ("wrong-name", True)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ({"life_ms": 30 * DAY_MS}, None),
        ({"life_ms": 30 * DAY_MS + 1}, "too-long"),
        ({"life_ms": 0}, "too-long"),
        ({"hashes": [bytes(HASH_BYTES)], "entry_life_ms": 30 * DAY_MS}, None),
        ({"hashes": [bytes(HASH_BYTES)], "entry_life_ms": 30 * DAY_MS + 1}, "too-long"),
        ({"hashes": [os.urandom(HASH_BYTES)] * 3}, None),
        ({"hashes": [os.urandom(HASH_BYTES) for _ in range(ENTRIES_LIMIT)]}, None),
        ({"hashes": [os.urandom(HASH_BYTES) for _ in range(ENTRIES_LIMIT + 1)]}, "too-many"),
        ({"hashes": [b"short"]}, "format"),
        ({"version": 10**15 - 1}, None),
        ({"version": 10**15}, "format"),
        ({"version": 0}, "format"),
        ({"name": "Stolen\x1b[2J"}, "format"),
        ({"made_ms": 10**18}, "format"),
        ({"cost": Cost(n=2048)}, "format"),
        ({"cost": Cost(n=32768)}, None),
        ({"cost": Cost(n=65536)}, "format"),
        ({"cost": Cost(p=5)}, "format"),
    ],
)
def test_list_signed_but_beyond_what_a_box_takes_is_refused(office, what, why):
    office.make(**what)
    if why is None:
        opened(office)
    else:
        assert refusal(office)[0] == why


@pytest.mark.parametrize(
    ("made_ms", "max_age_ms", "why"),
    [
        (NOW_MS, 7 * DAY_MS, None),
        (NOW_MS + 9 * 60_000, 7 * DAY_MS, None),  # the office's clock is a little fast
        (NOW_MS + 11 * 60_000, 7 * DAY_MS, "future"),
        (NOW_MS - 7 * DAY_MS + 1000, 8 * DAY_MS, None),
        (NOW_MS - 7 * DAY_MS, 8 * DAY_MS, "expired"),
        (NOW_MS - 2 * DAY_MS + 1000, 2 * DAY_MS, None),
        (NOW_MS - 2 * DAY_MS, 2 * DAY_MS, "too-old"),
    ],
)
def test_list_is_used_in_its_time_only(office, made_ms, max_age_ms, why):
    office.make(PLATE, made_ms=made_ms)
    hotlist = opened(office)
    if why is None:
        hotlist.check_time(NOW_MS, max_age_ms)
        return
    with pytest.raises(HotlistError) as caught:
        hotlist.check_time(NOW_MS, max_age_ms)
    assert caught.value.why == why


def test_entry_past_its_own_time_matches_no_more(office):
    office.make(PLATE, entry_life_ms=DAY_MS)
    hotlist = opened(office)
    assert hotlist.find("UZ", "01A123BC", NOW_MS + DAY_MS - 1)
    assert hotlist.find("UZ", "01A123BC", NOW_MS + DAY_MS) is None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "damaged"),
        (b"plate,case\n01A123BC,1\n", "damaged"),
        (b"MAHALLA HOTLIST 2\nwhatever", "format"),
        (b"MAHALLA HOTLIST 1\n", "damaged"),
        (b"MAHALLA HOTLIST 1\n\xff\xff\xff\xff", "damaged"),
    ],
)
def test_file_that_is_no_list_is_refused(office, content, why):
    (office.folder / "stolen.list").write_bytes(content)
    assert refusal(office)[0] == why


def test_file_that_is_not_there_or_cannot_be_one_is_refused(office, monkeypatch):
    assert refusal(office)[0] == "missing"
    (office.folder / "stolen.list").mkdir()
    assert refusal(office)[0] == "unreadable"
    file = office.make(PLATE, file="large.list")
    monkeypatch.setattr(opening, "FILE_LIMIT_BYTES", file.stat().st_size - 1)
    assert refusal(office, file=file)[0] == "damaged"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A list with two signatures, its bytes, and how it is opened."""
    office = Office(tmp_path_factory.mktemp("office"))
    content = office.make(PLATE, signers=("office", "city")).read_bytes()
    how = {
        "name": "stolen",
        "signers": [office.signer("office"), office.signer("city")],
        "keys": [office.box()],
    }
    assert open_bytes(content, **how).size == 1
    return content, how


def test_tampering_with_any_byte_is_refused(whole):
    content, how = whole
    for position in range(len(content)):
        spoilt = bytearray(content)
        spoilt[position] ^= 1 << position % 8
        with pytest.raises(HotlistError):
            open_bytes(bytes(spoilt), **how)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_list_cut_lengthened_or_patched_is_refused(whole, data):
    content, how = whole
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(len(content), start + 20)))
    patch = data.draw(st.binary(max_size=20))
    spoilt = content[:start] + patch + content[end:]
    if spoilt != content:
        with pytest.raises(HotlistError):
            open_bytes(spoilt, **how)


def test_list_cut_at_any_place_is_refused(whole):
    content, how = whole
    for length in range(len(content)):
        with pytest.raises(HotlistError):
            open_bytes(content[:length], **how)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
HEADER = st.fixed_dictionaries(
    {
        "name": st.just("stolen") | JSON,
        "version": st.just(1) | JSON,
        "made": st.just(NOW_MS) | JSON,
        "expires": st.just(NOW_MS + DAY_MS) | JSON,
        "scrypt": st.just({"n": 4096, "r": 8, "p": 1})
        | st.fixed_dictionaries({"n": JSON, "r": JSON, "p": JSON})
        | JSON,
        "recipients": st.lists(
            st.fixed_dictionaries({"id": JSON, "fresh": st.just("00") | JSON, "wrapped": JSON})
        )
        | JSON,
    }
)


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    office = Office(tmp_path_factory.mktemp("office"))
    office.signer()
    return office, load_signing_key(office.folder / "office.key")


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(header=(HEADER | JSON).map(lambda value: json.dumps(value).encode()) | st.binary())
def test_nonsense_that_is_rightly_signed_is_refused_like_everything_else(signer, header):
    """A fault of the office's must not stop a box."""
    office, key = signer
    parts = (len(part).to_bytes(4, "big") + part for part in (header, b"payload"))
    signed = b"MAHALLA HOTLIST 1\n" + b"".join(parts)
    tail = bytes.fromhex(key_id(key.public_key())) + key.sign(signed)
    with pytest.raises(HotlistError) as caught:
        open_bytes(
            signed + b"\x01" + tail,
            name="stolen",
            signers=[office.signer()],
            keys=[office.box()],
        )
    assert caught.value.why not in ("damaged", "signature")
