"""A camera's password: who may read it, how it is proven, and that nobody else sees it."""

import base64
import hashlib
import re
import time

import pytest

from agent.capture.credentials import AuthenticationError, Credentials, Login, read_credentials
from agent.errors import CaptureError

MUFASA = Credentials(user="Mufasa", password="Circle of Life")
NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
OPAQUE = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
OFFER = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
    f'nonce="{NONCE}", opaque="{OPAQUE}"'
)
"""The example of RFC 7616, section 3.9.1."""


@pytest.fixture
def stored(tmp_path):
    def store(content, mode=0o600):
        path = tmp_path / "gate.cred"
        path.write_bytes(content)
        path.chmod(mode)
        return path

    return store


def fields(header):
    scheme, _, rest = header.partition(" ")
    found = re.findall(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))', rest)
    return {"scheme": scheme} | {name: quoted or bare for name, quoted, bare in found}


def answered(*offers, uri="/dir/index.html", credentials=MUFASA):
    login = Login(credentials, own_nonce=lambda: CNONCE)
    login.challenge(offers)
    return fields(login.header("GET", uri))


@pytest.mark.parametrize("content", [b"admin:s3cret", b"admin:s3cret\n", b"admin:s3cret\r\n"])
def test_file_of_one_line_gives_user_and_password(stored, content):
    read = read_credentials(stored(content))
    assert (read.user, read.password) == ("admin", "s3cret")


def test_password_may_hold_colons_blanks_and_other_alphabets(stored):
    read = read_credentials(stored("оператор: a:b ü ".encode()))
    assert (read.user, read.password) == ("оператор", " a:b ü ")


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
def test_file_for_its_owner_alone_is_accepted(stored, mode):
    assert read_credentials(stored(b"a:b", mode)).user == "a"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610, 0o601])
def test_file_that_others_can_touch_is_refused_with_the_cure(stored, mode):
    with pytest.raises(CaptureError, match="chmod 600"):
        read_credentials(stored(b"admin:s3cret", mode))


def test_file_that_systemd_hands_over_is_read_in_the_mode_that_it_has(stored, monkeypatch):
    path = stored(b"a:b", 0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(path.parent))
    assert read_credentials(path).user == "a"


@pytest.mark.parametrize("folder", ["", "credentials", ".."])
def test_file_elsewhere_is_refused_whatever_systemd_hands_over(stored, monkeypatch, folder):
    path = stored(b"a:b", 0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", folder and str(path.parent / folder))
    with pytest.raises(CaptureError, match="chmod 600"):
        read_credentials(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"s3cret",
        b":s3cret",
        b"s3cret:",
        b"a:s3cret\nb:s3cret",
        b"a:s3cret\xff\xfe",
        b"\xef\xbb\xbfa:s3cret",
        b"a:s3cret\rb:s3cret",
    ],
    ids=[
        "empty",
        "newline",
        "no-colon",
        "no-user",
        "no-password",
        "two-lines",
        "no-text",
        "bom",
        "old-mac",
    ],
)
def test_file_of_another_form_is_refused_without_showing_it(stored, content):
    with pytest.raises(CaptureError, match="one line") as caught:
        read_credentials(stored(content))
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_file_that_is_missing_is_one_clear_error(tmp_path):
    with pytest.raises(CaptureError, match="No such file"):
        read_credentials(tmp_path / "none.cred")
    with pytest.raises(CaptureError, match="Is a directory"):
        read_credentials(tmp_path)


def test_credentials_show_nothing_in_their_repr():
    login = Login(MUFASA)
    login.challenge([OFFER.format(algorithm="MD5")])
    for shown in (repr(MUFASA), str(MUFASA), f"{[MUFASA]}", repr(login)):
        assert "Mufasa" not in shown
        assert "Life" not in shown


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_digest_gives_the_answer_of_rfc_7616(algorithm, response):
    answer = answered(OFFER.format(algorithm=algorithm))
    assert answer == {
        "scheme": "Digest",
        "username": "Mufasa",
        "realm": "http-auth@example.org",
        "uri": "/dir/index.html",
        "algorithm": algorithm,
        "nonce": NONCE,
        "nc": "00000001",
        "cnonce": CNONCE,
        "qop": "auth",
        "response": response,
        "opaque": OPAQUE,
    }


@pytest.mark.parametrize(("algorithm", "name"), [("", "md5"), (", algorithm=SHA-256", "sha256")])
def test_digest_without_qop_is_that_of_the_older_standard(algorithm, name):
    def hashed(text):
        return hashlib.new(name, text.encode()).hexdigest()

    answer = answered(f'Digest realm="cam", nonce="abc"{algorithm}', uri="rtsp://h/1")
    secret, asked = hashed("Mufasa:cam:Circle of Life"), hashed("GET:rtsp://h/1")
    assert answer["response"] == hashed(f"{secret}:abc:{asked}")
    assert not {"qop", "nc", "cnonce", "opaque"} & answer.keys()
    assert ("algorithm" in answer) == bool(algorithm)


def test_digest_counts_its_uses_and_starts_again_with_a_new_nonce():
    login = Login(MUFASA)
    login.challenge([OFFER.format(algorithm="MD5")])
    answers = [fields(login.header("GET", "/")) for _ in range(3)]
    assert [answer["nc"] for answer in answers] == ["00000001", "00000002", "00000003"]
    assert len({answer["cnonce"] for answer in answers}) == 3
    login.challenge([OFFER.format(algorithm="MD5").replace(NONCE, "fresh")])
    answer = fields(login.header("GET", "/"))
    assert (answer["nonce"], answer["nc"]) == ("fresh", "00000001")


def test_digest_quotes_what_would_end_its_quotes():
    odd = Credentials(user='a"b\\c', password="x")
    assert answered(OFFER.format(algorithm="MD5"), credentials=odd)["username"] == 'a\\"b\\\\c'


@pytest.mark.parametrize(
    ("stale", "expected"), [("true", True), ("TRUE", True), ('"true"', True), ("false", False)]
)
def test_stale_nonce_is_told_from_a_refusal(stale, expected):
    login = Login(MUFASA)
    assert login.challenge([OFFER.format(algorithm="MD5") + f", stale={stale}"]) is expected
    assert login.challenge([OFFER.format(algorithm="MD5")]) is False


@pytest.mark.parametrize("basic_first", [False, True])
def test_digest_is_preferred_to_basic(basic_first):
    offers = [OFFER.format(algorithm="MD5"), 'Basic realm="cam"']
    assert answered(*(offers[::-1] if basic_first else offers))["scheme"] == "Digest"


def test_first_known_digest_is_the_cameras_own_choice():
    offers = [OFFER.format(algorithm=name) for name in ("SHA-512-256", "SHA-256", "MD5")]
    assert answered(*offers)["algorithm"] == "SHA-256"


def test_basic_is_used_where_nothing_else_is_offered():
    login = Login(MUFASA)
    login.challenge(['Basic realm="cam"'])
    scheme, _, both = login.header("GET", "/").partition(" ")
    assert (scheme, base64.b64decode(both)) == ("Basic", b"Mufasa:Circle of Life")


def test_who_asked_for_digest_gets_no_password_in_clear_later():
    login = Login(MUFASA)
    login.challenge([OFFER.format(algorithm="MD5")])
    with pytest.raises(AuthenticationError, match="not sent"):
        login.challenge(['Basic realm="cam"'])
    assert login.header("GET", "/").startswith("Digest ")


def test_who_asked_for_basic_may_ask_for_digest_and_for_basic_again():
    login = Login(MUFASA)
    for _ in range(2):
        login.challenge(['Basic realm="cam"'])
    assert login.in_clear
    login.challenge([OFFER.format(algorithm="MD5")])
    assert not login.in_clear


def test_nothing_is_sent_before_a_challenge():
    login = Login(MUFASA)
    assert login.header("GET", "/") is None
    assert not login.started


@pytest.mark.parametrize(
    "offers",
    [[], [""], ["Bearer"], ['Digest realm="x", nonce="y", algorithm=MD5-sess'], ["\x00=\x00"]],
    ids=["none", "empty", "bearer", "md5-sess", "noise"],
)
def test_unknown_kind_of_login_is_one_clear_error(offers):
    with pytest.raises(CaptureError, match="not known here") as caught:
        Login(MUFASA).challenge(offers)
    assert not isinstance(caught.value, AuthenticationError)


def test_challenge_as_long_as_the_protocol_allows_costs_no_time():
    started_s = time.process_time()
    for text in ("a" * 16000, "a=" * 8000, 'a="' * 5000, "Digest " + "b=c," * 4000):
        Login(MUFASA).challenge([f"Digest {text}"])
    assert time.process_time() - started_s < 0.5
