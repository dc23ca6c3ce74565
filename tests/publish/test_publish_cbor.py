"""CBOR of what JSON can say: the vectors of RFC 8949, appendix A, and a real subscriber."""

import json

import cbor2
import pytest
from brokers import Mosquitto, wait_until
from crossings import crossing
from listener import Listener
from post import ROOT, office, post

from agent.publish.cbor import encode

VECTORS = [
    (0, "00"),
    (23, "17"),
    (24, "1818"),
    (1000, "1903e8"),
    (1000000000000, "1b000000e8d4a51000"),
    (18446744073709551615, "1bffffffffffffffff"),
    (-1, "20"),
    (-1000, "3903e7"),
    (0.0, "f90000"),
    (1.1, "fb3ff199999999999a"),
    (1.5, "f93e00"),
    (65504.0, "f97bff"),
    (100000.0, "fa47c35000"),
    (1.0e300, "fb7e37e43c8800759c"),
    (-4.1, "fbc010666666666666"),
    (False, "f4"),
    (True, "f5"),
    (None, "f6"),
    ("", "60"),
    ("IETF", "6449455446"),
    ("ü水", "65c3bce6b0b4"),
    ([1, [2, 3], [4, 5]], "8301820203820405"),
    (list(range(1, 26)), "98190102030405060708090a0b0c0d0e0f101112131415161718181819"),
    ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
    ({"bb": 1, "a": 2, "c": 3}, "a361610261630362626201"),  # keys by their bytes, short ones first
]


@pytest.mark.parametrize(("value", "expected"), VECTORS)
def test_value_is_encoded_as_the_standard_says(value, expected):
    assert encode(value).hex() == expected


@pytest.mark.parametrize("value", [float("nan"), 1 << 64, b"x", {1, 2}])
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(ValueError, match=r"JSON|64 bits"):
        encode(value)


def test_event_is_what_cbor2_makes_of_it_and_smaller():
    body = json.loads(crossing(7).body)
    assert encode(body) == cbor2.dumps(body, canonical=True)
    assert cbor2.loads(encode(body)) == body
    assert len(encode(body)) < len(crossing(7).body)


def test_broker_that_wants_cbor_is_sent_events_in_it(tmp_path):
    with (
        Mosquitto(tmp_path) as broker,
        Listener(broker.port, f"{ROOT}/e/#") as ear,
        post(office(broker.url, encoding="cbor"), tmp_path) as box,
    ):
        message = crossing(1)
        box.outbox.put([message])
        wait_until(lambda: ear.events(), what="it comes")
        (row,) = [heard.payload for heard in ear.events()]
        st = box.outbox._streams["office"]
    assert row == encode({"v": 1, "st": st, "sq": 1} | json.loads(message.body))
