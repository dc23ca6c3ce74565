"""Single values, in pairs of accepted and refused."""

from __future__ import annotations

import pytest

from agent.config import values
from agent.config.brokers import is_loopback
from agent.config.hours import HOURS
from agent.config.problems import Refusal
from agent.config.values import duration, number, size, spelled_duration, spelled_size, whole

ANY_TIME = duration(0, 1e9)
ANY_SIZE = size(0, 10**15)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("20s", 20), ("1.5s", 1.5), ("5m", 300), ("72h", 259_200), ("7d", 604_800)],
)
def test_duration_with_unit_is_seconds(text: str, seconds: float) -> None:
    assert ANY_TIME.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("20", "did you mean 20s"),
        ("20 s", "did you mean 20s"),
        ("20sec", "did you mean 20s"),
        ("5min", "did you mean 5m"),
        ("7 Days", "did you mean 7d"),
        ("300MS", "did you mean 300ms"),
        ("-5s", ""),
        ("soon", ""),
        ("1:30", ""),
        ("", ""),
        ("9" * 50 + "s", ""),
    ],
)
def test_duration_without_unit_is_refused(text: str, hint: str) -> None:
    with pytest.raises(Refusal) as caught:
        ANY_TIME.parse(text)
    assert caught.value.hint == hint


@pytest.mark.parametrize("text", ["10s", "1h"])
def test_duration_at_the_ends_is_accepted(text: str) -> None:
    assert duration(10, 3600).parse(text)


@pytest.mark.parametrize("text", ["9.9s", "61m"])
def test_duration_beyond_the_ends_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="out of range"):
        duration(10, 3600).parse(text)


@pytest.mark.parametrize(
    ("text", "n_bytes"), [("1kB", 1000), ("500MB", 500_000_000), ("2GB", 2_000_000_000)]
)
def test_size_with_unit_is_bytes(text: str, n_bytes: int) -> None:
    assert ANY_SIZE.parse(text) == n_bytes


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("500mb", "did you mean 500MB"),
        ("500 MiB", "did you mean 500MB"),
        ("500K", "did you mean 500kB"),
        ("1.5GB", ""),
        ("500", ""),
        ("much", ""),
    ],
)
def test_size_in_another_unit_is_refused(text: str, hint: str) -> None:
    with pytest.raises(Refusal) as caught:
        ANY_SIZE.parse(text)
    assert caught.value.hint == hint


def test_durations_and_sizes_are_spelled_as_people_write_them() -> None:
    assert [spelled_duration(s) for s in (0.5, 90, 3600, 86_400, 259_200)] == [
        "500ms",
        "90s",
        "1h",
        "1d",
        "3d",
    ]
    assert [spelled_size(n) for n in (1500, 10**6, 10**11)] == ["1.5kB", "1MB", "100GB"]


@pytest.mark.parametrize("text", ["0", "1", "0.25", "-0.0", "+1"])
def test_number_in_range_is_accepted(text: str) -> None:
    assert number(0, 1).parse(text) == float(text)


@pytest.mark.parametrize(
    "text", ["1.01", "-0.1", "nan", "inf", "1e-3", "0x1", "01", "1_0", ".5", "", "9" * 400]
)
def test_number_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        number(0, 1).parse(text)


def test_whole_number_in_range_is_accepted() -> None:
    assert [whole(1, 8).parse(text) for text in ("1", "8")] == [1, 8]


@pytest.mark.parametrize("text", ["0", "9", "2.0", "two", "9" * 6000])
def test_whole_number_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        whole(1, 8).parse(text)


@pytest.mark.parametrize("text", ["true", "false"])
def test_boolean_is_accepted(text: str) -> None:
    assert values.BOOLEAN.parse(text) is (text == "true")


@pytest.mark.parametrize("text", ["yes", "no", "on", "off", "True", "1", "maybe"])
def test_boolean_in_another_word_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        values.BOOLEAN.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "Mon-Fri 07:30-15:00",
        "Sat 08:00-12:00, Sun 09:00-11:00",
        "Fri-Mon 22:00-06:00",
        "Mon-Sun 00:00-24:00",
    ],
)
def test_hours_in_the_grammar_are_accepted(text: str) -> None:
    assert HOURS.parse(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "07:30-15:00",
        "Mon 7:30-15:00",
        "Mon 07:60-15:00",
        "Mon 24:00-06:00",
        "Mon 24:30-06:00",
        "Mo 07:30-15:00",
        "Mon-Fri-Sun 07:30-15:00",
        "Mon 07:30-15:00,",
        "Mon 07:30-15:00; Tue 07:30-15:00",
        "always",
    ],
)
def test_hours_of_another_grammar_are_refused(text: str) -> None:
    with pytest.raises(Refusal):
        HOURS.parse(text)


@pytest.mark.parametrize("text", ["UTC", "Asia/Tashkent", "America/Argentina/Salta"])
def test_timezone_of_the_database_is_accepted(text: str) -> None:
    assert values.TIMEZONE.parse(text) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("tashkent", "did you mean Asia/Tashkent"),
        ("asia/samarkand", "did you mean Asia/Samarkand"),
        ("../../etc/passwd", ""),
        ("America", ""),
        ("", ""),
    ],
)
def test_timezone_of_no_database_is_refused(text: str, hint: str) -> None:
    with pytest.raises(Refusal) as caught:
        values.TIMEZONE.parse(text)
    assert caught.value.hint == hint


@pytest.mark.parametrize("text", ["UTC+5", "utc +5", "GMT+05:00", "+5", "+0500", "UTC+05"])
def test_timezone_as_the_offset_of_this_country_has_a_hint(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        values.TIMEZONE.parse(text)
    assert caught.value.hint == "did you mean Asia/Tashkent"


@pytest.mark.parametrize("text", ["UTC+6", "UTC-5", "GMT+5:30", "+50", "UTC+15"])
def test_timezone_as_another_offset_has_no_hint(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        values.TIMEZONE.parse(text)
    assert caught.value.hint == ""


@pytest.mark.parametrize("text", ["https://office.lan/models/", "https://10.0.0.2:8443"])
def test_https_address_is_accepted(text: str) -> None:
    assert values.HTTPS_URL.parse(text) == text


@pytest.mark.parametrize("text", ["http://office.lan/", "https://", "https://a:b@office.lan/", "x"])
def test_address_that_is_not_https_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        values.HTTPS_URL.parse(text)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_this_box(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["office.lan", "10.0.0.1", "localhost.lan", "128.0.0.1", "::2", "127.1.example"]
)
def test_loopback_is_no_other_host(host: str) -> None:
    assert not is_loopback(host)
