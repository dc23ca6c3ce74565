"""What is said of a certificate that is of no use."""

from __future__ import annotations

import time

import pytest
from brokers import Certificates

from agent.config.model import BrokerConfig
from agent.errors import LinkError
from agent.publish.endpoint import certificate_trouble, tls_context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("authority"))


def broker(certificates, cert, key):
    urls = ("mqtts://office.lan:8883",)
    return BrokerConfig(broker_id="office", urls=urls, ca=certificates.ca, cert=cert, key=key)


def test_key_of_another_certificate_is_named(certificates):
    cert, key = certificates.issue("box")
    _, other = certificates.issue("other")
    assert tls_context(broker(certificates, cert, key))
    with pytest.raises(LinkError, match=r"box\.pem: .*other\.key do not fit together; renew them"):
        tls_context(broker(certificates, cert, other))


def test_certificate_out_of_date_is_named_with_its_day(certificates):
    now_ms = round(time.time() * 1000)
    day_ms = 86_400_000
    cert, _ = certificates.issue("dated", days=30)
    assert certificate_trouble(None, now_ms) == ""
    assert certificate_trouble(cert, now_ms + 29 * day_ms) == ""
    assert f"{cert} expired on 20" in certificate_trouble(cert, now_ms + 31 * day_ms)
    assert f"{cert} is valid from 20" in certificate_trouble(cert, now_ms - 61 * day_ms)
