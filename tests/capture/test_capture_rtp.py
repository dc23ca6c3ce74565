"""RTP packets to coded pictures: whole, in fragments, damaged, hostile."""

import random
import re
import struct
import tracemalloc

import numpy as np
import pytest
from drawn import drawn_units
from hypothesis import given, settings
from hypothesis import strategies as st
from rtp_packer import RtpPacker

from agent.capture import rtp
from agent.capture.decoding import Decoder
from agent.capture.rtp import MAX_UNIT_BYTES, Depacketizer, parse_rtp

CODECS = ["h264", "hevc", "mjpeg"]
TICKS = 9000


@pytest.fixture(scope="module")
def drawn():
    return {codec: drawn_units(codec) for codec in CODECS}


def packets_of(units, codec, **options):
    packer = RtpPacker(codec, **options)
    return [packer.pack(unit, TICKS * number) for number, unit in enumerate(units)]


def collected(packets, codec, payload_type=96):
    collect = Depacketizer(codec, payload_type)
    return [unit for now, packet in enumerate(packets) for unit in collect.push(packet, now + 1)]


def pictures(units, codec):
    decoder = Decoder(codec)
    return [
        picture.luma().copy()
        for unit in units
        for picture, _ in decoder.decode(unit if isinstance(unit, bytes) else unit.coded, 1)
    ]


def split_sets(unit, codec):
    """Parameter sets and what belongs to them, and the picture itself."""
    nals = [b"\0\0\0\1" + nal for nal in re.split(rb"\x00\x00\x00?\x01", unit) if nal]
    kinds = [nal[4] >> 1 & 0x3F if codec == "hevc" else nal[4] & 0x1F for nal in nals]
    first = next(n for n, kind in enumerate(kinds) if kind < (32 if codec == "hevc" else 6))
    return b"".join(nals[:first]), b"".join(nals[first:])


def flat(lists):
    return [one for many in lists for one in many]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("mtu", [60, 1200, 60000])
@pytest.mark.parametrize("aggregate", [False, True])
def test_pictures_come_out_as_they_went_in(drawn, codec, mtu, aggregate):
    packets = flat(packets_of(drawn[codec], codec, mtu=mtu, aggregate=aggregate))
    units = collected(packets, codec)
    assert len(units) == 12
    ours, theirs = pictures(units, codec), pictures(drawn[codec], codec)
    assert len(ours) == len(theirs) > 0
    assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(
    ("codec", "expected"),
    [("h264", [0, 5, 10]), ("hevc", [0, 5, 10]), ("mjpeg", list(range(12)))],
)
def test_keyframes_are_known(drawn, codec, expected):
    units = collected(flat(packets_of(drawn[codec], codec, mtu=100)), codec)
    assert [number for number, unit in enumerate(units) if unit.keyframe] == expected


def test_unit_is_stamped_when_its_first_packet_came(drawn):
    by_picture = packets_of(drawn["h264"], "h264", mtu=60)
    firsts = np.cumsum([1] + [len(packets) for packets in by_picture])[:-1]
    units = collected(flat(by_picture), "h264")
    assert [unit.taken_ns for unit in units] == list(firsts)


def test_picture_without_a_marker_is_complete_when_the_next_begins(drawn):
    packets = flat(packets_of(drawn["h264"], "h264"))
    bare = [packet[:1] + bytes([packet[1] & 0x7F]) + packet[2:] for packet in packets]
    assert len(collected(bare, "h264")) == 11  # the last waits for its next


def test_packets_of_another_type_are_let_go(drawn):
    packets = flat(packets_of(drawn["h264"], "h264"))
    sound = RtpPacker("h264", payload_type=8).packet(b"sound" * 9, 1)
    mixed = flat([packet, sound] for packet in packets)
    assert len(collected(mixed, "h264")) == 12


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_nal_unit_with_a_lost_piece_is_left_out_whole(drawn, codec):
    whole = set(flat(nals(unit) for unit in drawn[codec]))
    by_picture = packets_of(drawn[codec], codec, mtu=60)
    for packets in by_picture[2:5]:
        del packets[len(packets) // 2]
    found = flat(nals(unit.coded) for unit in collected(flat(by_picture), codec))
    assert set(found) <= whole
    assert len(found) < len(flat(nals(unit) for unit in drawn[codec]))


def nals(unit):
    return [nal.rstrip(b"\0") for nal in re.split(rb"\x00\x00\x00?\x01", unit) if nal]


def test_jpeg_with_a_lost_piece_is_left_out_whole(drawn):
    by_picture = packets_of(drawn["mjpeg"], "mjpeg", mtu=100)
    for packets in by_picture[2:5]:
        del packets[len(packets) // 2]
    del by_picture[7][0]
    assert len(collected(flat(by_picture), "mjpeg")) == 8


def test_jpeg_with_pieces_out_of_order_is_cut_where_they_are(drawn):
    (packets,) = packets_of(drawn["mjpeg"][:1], "mjpeg", mtu=100)
    payloads = [packet[12:] for packet in packets]
    payloads[3], payloads[4] = payloads[4], payloads[3]
    packer = RtpPacker("mjpeg")
    last = len(payloads) - 1
    mixed = [packer.packet(one, 1, marker=n == last) for n, one in enumerate(payloads)]
    (unit,) = collected(mixed, "mjpeg")
    assert len(unit.coded) < sum(map(len, payloads)) / 2 + 1000


@pytest.mark.parametrize("codec", CODECS)
def test_lost_packet_costs_its_picture_and_no_keyframe_after_it(drawn, codec):
    by_picture = packets_of(drawn[codec], codec, mtu=100)
    del by_picture[2][len(by_picture[2]) // 2]
    units = collected(flat(by_picture), codec)
    assert len(pictures(units, codec)) >= 8
    last = pictures(drawn[codec], codec)[-1]
    assert np.array_equal(pictures(units, codec)[-1], last)  # after a keyframe all is well again


def test_extension_padding_and_contributors_are_taken_off():
    plain = RtpPacker("h264").packet(b"payload", 7, marker=True)
    extended = bytes([plain[0] | 0x10]) + plain[1:12] + b"\xab\xac\0\2" + bytes(8) + b"payload"
    padded = bytes([plain[0] | 0x20]) + plain[1:] + b"\0\0\3"
    mixed = bytes([plain[0] | 0x02]) + plain[1:12] + bytes(8) + b"payload"
    for packet in (plain, extended, padded, mixed):
        parsed = parse_rtp(packet)
        assert (parsed.payload, parsed.marker, parsed.payload_type) == (b"payload", True, 96)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x80",
        bytes(12),
        b"\x80" + bytes(11),
        b"\x8f" + bytes(40),
        b"\x90" + bytes(11),
        b"\x90" + bytes(12) + b"\0\xff\xff" + bytes(9),
        b"\xa0" + bytes(12) + b"\xff",
        b"\x40" + bytes(30),
    ],
)
def test_packet_that_is_too_short_for_its_head_is_none(packet):
    assert parse_rtp(packet) is None


@pytest.mark.parametrize(
    ("codec", "payload"),
    [
        ("h264", b"\x1c\x85" + bytes(1000)),  # a fragment begins, and never ends
        ("h264", b"\x1c\x05" + bytes(1000)),  # the middle of one that never began
        ("h264", b"\x65" + bytes(1000)),
        ("hevc", b"\x62\x01\x93" + bytes(1000)),
        ("hevc", b"\x62\x01\x13" + bytes(1000)),
        ("mjpeg", b"\0\0\0\0\1\x32\x14\x0f" + bytes(1000)),
    ],
)
def test_picture_that_never_ends_does_not_grow_without_bound(monkeypatch, codec, payload):
    monkeypatch.setattr(rtp, "MAX_UNIT_BYTES", 100_000)
    assert _memory_for([payload] * 2000, codec) < 300_000


@pytest.mark.parametrize(
    ("codec", "payload"),
    [
        ("h264", b"\x41\0"),
        ("h264", b"\x1c\x05\0"),
        ("h264", b"\x18" + b"\0\1\x41" * 40),
        ("hevc", b"\x02\x01\0"),
        ("mjpeg", b"\0\0\0\0\1\x32\x14\x0f"),
        ("mjpeg", b"\0\0\0\0\1\xff\x14\x0f\0\0\0\x80" + bytes(128)),
    ],
    ids=["nal", "fragment", "aggregate", "hevc-nal", "jpeg-without-scan", "jpeg-tables"],
)
def test_many_tiny_pieces_cost_no_more_memory_than_large_ones(monkeypatch, codec, payload):
    monkeypatch.setattr(rtp, "MAX_UNIT_BYTES", 100_000)
    start = [b"\x1c\x85\0"] if codec == "h264" else []
    assert _memory_for([*start, *[payload] * 8000], codec) < 400_000


def _memory_for(payloads, codec):
    """The most that a depacketizer holds at once, of packets that are never kept."""
    packer = RtpPacker(codec)
    collect = Depacketizer(codec, 96)
    tracemalloc.start()
    try:
        for number, payload in enumerate(payloads):
            for unit in collect.push(packer.packet(payload, 1), number):
                assert len(unit.coded) <= 2 * rtp.MAX_UNIT_BYTES
        collect.push(packer.packet(b"\x41\0\0", 1, marker=True), 1)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_largest_packet_of_tiny_units_is_taken_apart_in_no_time():
    packet = RtpPacker("h264").packet(b"\x18" + b"\0\1\x41" * 21000, 1, marker=True)
    (unit,) = collected([packet], "h264")
    assert len(unit.coded) == 21000 * 5


@pytest.mark.parametrize("codec", CODECS)
@settings(max_examples=150, deadline=None)
@given(payloads=st.lists(st.binary(max_size=80), max_size=40), seed=st.integers(0, 2**32))
def test_any_payloads_give_units_or_nothing(codec, payloads, seed):
    rng = random.Random(seed)
    packer = RtpPacker(codec)
    collect = Depacketizer(codec, 96)
    for payload in payloads:
        packet = packer.packet(payload, rng.choice([1, 2]), marker=rng.random() < 0.2)
        for unit in collect.push(packet, 1):
            assert 0 < len(unit.coded) <= MAX_UNIT_BYTES


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=20))
def test_any_packets_give_units_or_nothing(packets):
    for codec in CODECS:
        collected(packets, codec)


@pytest.mark.parametrize("codec", CODECS)
def test_damaged_streams_are_decoded_or_not_but_never_break_anything(drawn, codec):
    rng = random.Random(7)
    packets = flat(packets_of(drawn[codec], codec, mtu=200))
    seen = 0
    for _ in range(60):
        damaged = [_damaged(packet, rng) for packet in packets if rng.random() > 0.05]
        decoder = Decoder(codec)
        for unit in collected(damaged, codec):
            for picture, _ in decoder.decode(unit.coded, unit.taken_ns):
                picture.luma(16)
                seen += 1
    assert seen > 0


def _damaged(packet, rng):
    if rng.random() > 0.2:
        return packet
    changed = bytearray(packet)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(1, len(changed))] = rng.randrange(256)
    return bytes(changed[: rng.randint(1, len(changed))] if rng.random() < 0.3 else changed)


def test_sequence_numbers_wrap_without_a_loss(drawn):
    packets = flat(packets_of(drawn["h264"], "h264", mtu=60, sequence=65530))
    numbers = [struct.unpack_from("!H", packet, 2)[0] for packet in packets]
    assert 65535 in numbers
    assert 0 in numbers
    assert len(collected(packets, "h264")) == 12


def test_jpeg_with_standard_tables_by_quality_number_is_decoded(drawn):
    """Q below 128 names a scale of the standard's own tables (RFC 2435, appendix A)."""
    packer = RtpPacker("mjpeg")
    (whole,) = packets_of(drawn["mjpeg"][:1], "mjpeg", mtu=60000)[0]
    scan = whole[12 + 8 + 4 + 128 :]
    grey = {}
    for quality in (1, 50, 99):
        head = b"\0\0\0\0\1" + bytes([quality, 160 // 8, 120 // 8])
        (unit,) = collected([packer.packet(head + scan, quality, marker=True)], "mjpeg")
        (picture,) = pictures([unit], "mjpeg")
        assert picture.shape == (120, 160)
        grey[quality] = picture
    assert not np.array_equal(grey[1], grey[99])


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_parameter_sets_that_come_as_a_unit_of_their_own_go_with_their_keyframe(drawn, codec):
    sets, picture = split_sets(drawn[codec][0], codec)
    assert sets
    packer = RtpPacker(codec)
    packets = packer.pack(sets, 0) + packer.pack(picture, TICKS)
    (unit,) = collected(packets, codec)
    assert unit.keyframe
    assert unit.coded == sets + picture


def test_what_is_no_picture_and_never_ends_is_not_kept():
    packer = RtpPacker("h264")
    packets = flat(packer.pack(b"\0\0\0\1\x06" + b"x" * 1000, TICKS * n) for n in range(50))
    collect = Depacketizer("h264", 96)
    tracemalloc.start()
    assert not [unit for packet in packets for unit in collect.push(packet, 1)]
    assert tracemalloc.get_traced_memory()[0] < 20_000
    tracemalloc.stop()
