"""A certificate that ends is told ahead, a few times."""

import time
from types import SimpleNamespace

import pytest
from brokers import Certificates

from agent.publish.expiry import DAYS_AHEAD, Expiry
from agent.records import Moment

DAY_MS = 86_400_000


@pytest.fixture
def pki(tmp_path):
    return Certificates(tmp_path)


def watched(pki, days):
    cert, _ = pki.issue("box", days=days)
    return Expiry({"office": SimpleNamespace(cert=cert), "open": SimpleNamespace(cert=None)})


def at(day, synced=True):
    return Moment(mono_ns=0, utc_ms=time.time_ns() // 1_000_000 + day * DAY_MS, synced=synced)


def test_certificate_that_ends_is_told_on_some_days_once_each(pki):
    expiry = watched(pki, 60)
    told = [len(expiry.look(at(day))) for day in range(62) for _ in range(2)]
    assert sum(told) == len(DAYS_AHEAD)
    assert not any(told[: 2 * 29])


def test_what_is_told_names_day_and_broker(pki):
    expiry = watched(pki, 5)
    (why,) = expiry.look(at(0))
    assert why == f"until {expiry.days()['office']}: certificate at office"


def test_renewed_certificate_is_told_of_no_more_and_no_clock_tells_nothing(pki):
    expiry = watched(pki, 5)
    assert expiry.look(at(0, synced=False)) == []
    pki.issue("box", days=90)  # over the old files
    assert expiry.look(at(0)) == []
