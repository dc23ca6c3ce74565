"""A copied list gives nothing away to whoever has no box's key, and little to who has."""

import dataclasses
import json
import re

import pytest
from office import KINDS, NOW_MS

from agent.errors import HotlistError
from agent.hotlist.keys import (
    decrypt,
    load_box_key,
    load_recipient,
    load_signer,
    load_signing_key,
    unwrap,
    write_key_pair,
)
from agent.hotlist.opening import open_hotlist
from agent.hotlist.sealed import parse
from agent.hotlist.slow_hash import Cost, plate_hash

PLATES = ("UZ 01A123BC", "UZ 75B777AA")


def inside(office, file, box="north"):
    """What the entitled box sees."""
    sealed = parse(file.read_bytes())
    return sealed.unseal(sealed.read_header(), [load_box_key(office.box(box))])


def test_copied_list_holds_neither_texts_nor_hashes_nor_words(office):
    file = office.make(*PLATES)
    content = inside(office, file)
    raw = file.read_bytes()
    secrets = [content.key, *(entry.hash for entry in content.entries)]
    for secret in secrets:
        assert secret not in raw
        assert secret.hex().encode() not in raw
    for word in (b"01A123BC", b"75B777AA", b"theft", b"77-0"):
        assert word not in raw


def test_header_says_what_the_outside_may_know_and_no_more(office):
    sealed = parse(office.make(*PLATES).read_bytes())
    assert set(json.loads(sealed.header)) == {
        "name",
        "version",
        "made",
        "expires",
        "scrypt",
        "recipients",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_wrapped_key_opens_for_its_own_box_alone(office, kind):
    """The thief swaps ids and tries every wrapped key: ECDH with another key gives another key."""
    office.box("south", kind)
    office.box("thief", kind)
    file = office.make(*PLATES, boxes=("north", "south"))
    sealed = parse(file.read_bytes())
    thief = load_box_key(office.box("thief"))
    for fresh, wrapped in sealed.read_header().recipients.values():
        # RSA answers a wrong key with an error or with noise, never with the key.
        with pytest.raises(HotlistError):
            decrypt(unwrap(fresh, wrapped, thief), sealed.payload, sealed.header)
    own = load_box_key(office.box("south"))
    with pytest.raises(HotlistError):
        other_header = dataclasses.replace(sealed.read_header(), recipients={})
        sealed.unseal(other_header, [own])


def test_signing_key_opens_nothing(office):
    file = office.make(*PLATES)
    with pytest.raises(HotlistError) as caught:
        open_hotlist(
            file, name="stolen", signers=[office.signer()], keys=[office.folder / "office.key"]
        )
    assert caught.value.why == "key"


def test_payload_stands_under_its_own_header_only(office):
    """Who signs cannot put an old payload under a new date without the boxes' noticing."""
    old = parse(office.make(*PLATES, version=1).read_bytes())
    new = parse(office.make(*PLATES, version=2).read_bytes())
    mixed = dataclasses.replace(old, payload=new.payload)
    with pytest.raises(HotlistError):
        mixed.unseal(mixed.read_header(), [load_box_key(office.box())])


def test_two_versions_of_the_same_plates_have_no_hash_in_common(office):
    first = inside(office, office.make(*PLATES, version=1))
    second = inside(office, office.make(*PLATES, version=2))
    assert first.key != second.key
    assert not {e.hash for e in first.entries} & {e.hash for e in second.entries}


def test_entries_stand_in_the_order_of_their_hashes(office):
    plates = [f"UZ 01A{number:03d}BC" for number in range(12)]
    hashes = [entry.hash for entry in inside(office, office.make(*plates)).entries]
    assert hashes == sorted(hashes)


def test_hash_takes_4_mib_and_depends_on_country_text_and_key():
    cost, key = Cost(), b"k" * 32
    assert 128 * cost.n * cost.r == 4 << 20
    hashes = {
        plate_hash("UZ", "01A123BC", key, cost),
        plate_hash("KZ", "01A123BC", key, cost),
        plate_hash("UZ", "01A123BD", key, cost),
        plate_hash("UZ", "01A123BC", b"K" * 32, cost),
        plate_hash("UZ", "01A123BC", key, Cost(n=8192)),
    }
    assert len(hashes) == 5


def test_private_key_among_the_recipients_is_refused(office):
    with pytest.raises(HotlistError, match="is a private key; keep it on its box alone"):
        load_recipient(office.box())


def test_certificate_of_an_authority_is_no_recipient(tmp_path):
    from brokers import Certificates

    authority = Certificates(tmp_path)
    with pytest.raises(HotlistError, match="an authority's certificate, not a box's"):
        load_recipient(authority.ca)
    certificate, key = authority.issue("north")
    assert load_recipient(certificate) == load_box_key(key).public_key()


def test_ed25519_key_signs_and_is_no_recipient(office):
    with pytest.raises(HotlistError, match="nothing can be sealed to this key"):
        load_recipient(office.signer())
    with pytest.raises(HotlistError, match="is no Ed25519 public key"):
        load_signer(office.box().with_suffix(".pem"))
    with pytest.raises(HotlistError, match="is no Ed25519 private key"):
        load_signing_key(office.box())


def test_signing_key_that_others_may_read_is_refused(office):
    office.signer()
    key = office.folder / "office.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.chmod(0o640)
    with pytest.raises(HotlistError, match=r"is open to others \(mode 0640\); chmod 600 it"):
        load_signing_key(key)


def test_new_pair_never_replaces_an_old_one(office):
    office.signer()
    before = (office.folder / "office.key").read_bytes()
    with pytest.raises(HotlistError, match=r"office\.key: is there already"):
        write_key_pair(office.folder / "office")
    assert (office.folder / "office.key").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n", b"\xff\x00"])
def test_spoilt_key_file_is_one_line_without_its_content(office, content):
    path = office.folder / "spoilt"
    path.write_bytes(content)
    for load in (load_signer, load_box_key, load_recipient):
        with pytest.raises(HotlistError) as caught:
            load(path)
        assert re.fullmatch(rf"{re.escape(str(path))}: is [^\n]+", str(caught.value))
        assert caught.value.__cause__ is None or load is not load_box_key


def test_list_in_memory_keeps_no_plate_it_was_asked_for(office):
    hotlist = open_hotlist(
        office.make(*PLATES), name="stolen", signers=[office.signer()], keys=[office.box()]
    )
    hotlist.find("UZ", "30C555CC", NOW_MS)
    assert "30C555CC" not in repr(vars(hotlist))
