"""A root key on a PKCS#11 token: SoftHSM where it is installed, a stand-in for the rest."""

from __future__ import annotations

import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from ota_maintainer import Box
from securesystemslib.signer import SIGNER_FOR_URI_SCHEME, CryptoSigner, HSMSigner, SSlibKey

from agent.cli import main
from agent.errors import UpdateError
from agent.ota.keys import load_public, load_signer

PIN = "12345678"
SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
URI = "hsm:2?label=mahalla"


@pytest.fixture(scope="module")
def token(tmp_path_factory):
    """One for all tests: a PKCS#11 library is opened once in a process."""
    pkcs11 = pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed")
    if not shutil.which("softhsm2-util") or not Path(SOFTHSM).is_file():
        pytest.skip("softhsm2 is not installed")
    from pkcs11.util.ec import encode_named_curve_parameters

    folder = tmp_path_factory.mktemp("token")
    (folder / "tokens").mkdir()
    conf = folder / "softhsm2.conf"
    conf.write_text(f"directories.tokendir = {folder / 'tokens'}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(conf))
        patch.setenv("PYKCS11LIB", SOFTHSM)
        words = ["softhsm2-util", "--init-token", "--free", "--label", "mahalla", "--pin"]
        subprocess.run([*words, PIN, "--so-pin", PIN], check=True, capture_output=True)
        found = pkcs11.lib(SOFTHSM).get_token(token_label="mahalla")
        with found.open(rw=True, user_pin=PIN) as session:
            for number, curve in ((2, "secp256r1"), (3, "secp256r1"), (4, "secp384r1")):
                named = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}
                parameters = session.create_domain_parameters(pkcs11.KeyType.EC, named, local=True)
                parameters.generate_keypair(store=True, id=bytes([number]))
        yield URI


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pin").write_text(f"{PIN}\n")
    return tmp_path


def key(name: str, *more: str) -> int:
    return main(["ota", "key", "--out", name, "--passphrase", "pin", *more])


def init(*signing: str) -> int:
    roots = [word for name in ("a", "b", "c") for word in ("--root", f"{name}.pub")]
    roles = ("models", "hotlists", "config", "online")
    others = [word for role in roles for word in (f"--{role}", f"{role}.pub")]
    signed = [word for name in signing for word in ("--sign", f"{name}.key")]
    return main(["ota", "init", "repo", *roots, *others, *signed, "--passphrase", "pin"])


def every_key() -> None:
    assert key("a", "--token", "hsm") == 0
    for name in ("b", "c", "models", "hotlists", "config", "online"):
        assert key(name) == 0


def test_root_key_on_a_token_is_one_of_two_that_boxes_follow(token, desk, capsys):
    every_key()
    assert (desk / "a.key").read_text() == f"{URI}\n"
    assert init("a", "b") == 0
    root = desk / "repo" / "public" / "metadata" / "1.root.json"
    signing = ["--sign", "models.key", "--sign", "online.key", "--passphrase", "pin"]
    assert main(["ota", "publish", "repo", "--yes", *signing]) == 0
    assert main(["ota", "renew", "repo", "--sign", "a.key", "--sign", "b.key", *signing]) == 0
    capsys.readouterr()
    box = Box(desk / "box", root)
    box.now = datetime.now(timezone.utc)
    # Nothing is released: that it is looked for at all takes every signature.
    assert box.client(desk / "repo" / "public").target("models/none") is None
    assert '"version":2' in (box.models.ota / "tuf" / "root.json").read_text()


def test_token_alone_is_too_few(token, desk, capsys):
    every_key()
    capsys.readouterr()
    assert init("a") == 1
    assert "keys are missing in --sign" in capsys.readouterr().err


def test_wrong_pin_is_said_once_and_nothing_is_written(token, desk, capsys):
    every_key()
    capsys.readouterr()
    (desk / "pin").write_text("87654321\n")
    assert init("a") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"mahalla ota: {URI}: the PIN is wrong")
    assert not (desk / "repo" / "public").exists()


def test_pub_of_another_key_is_refused(token, desk):
    assert key("a", "--token", "hsm") == key("b", "--token", "hsm:3") == 0
    (desk / "a.pub").write_bytes((desk / "b.pub").read_bytes())
    with pytest.raises(UpdateError, match="not that of"):
        load_signer(desk / "a.key", PIN)


@pytest.mark.parametrize(
    ("name", "said"), [("hsm:9", "could not find"), ("hsm:4", "P-256"), ("hsm?label=x", "label x")]
)
def test_token_without_such_a_key_is_said(token, desk, capsys, name, said):
    assert key("a", "--token", name) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (desk / "a.key").exists()


class _StandIn(CryptoSigner):
    """Signs with a key in memory for whoever gives its PIN."""

    secret = ec.generate_private_key(ec.SECP256R1())

    @classmethod
    def from_priv_key_uri(cls, priv_key_uri, public_key, secrets_handler=None):
        if secrets_handler("pin") != PIN:
            raise type("PinIncorrect", (RuntimeError,), {})
        return cls(cls.secret, public_key)


@pytest.fixture
def stand_in(monkeypatch) -> SSlibKey:
    public = SSlibKey.from_crypto(_StandIn.secret.public_key())
    monkeypatch.setitem(SIGNER_FOR_URI_SCHEME, "hsm", _StandIn)
    monkeypatch.setattr(HSMSigner, "import_", lambda keyid, label, pin: (URI, public))
    return public


def test_key_file_with_a_uri_signs_with_the_token_behind_it(stand_in, desk):
    assert key("a", "--token", "hsm") == 0
    assert load_public(desk / "a.pub").keyid == stand_in.keyid
    signer = load_signer(desk / "a.key", PIN)
    assert signer.public_key.keyid == stand_in.keyid
    signer.public_key.verify_signature(signer.sign(b"x"), b"x")
    with pytest.raises(UpdateError, match="PIN is wrong"):
        load_signer(desk / "a.key", "0000")
    (desk / "a.pub").unlink()
    with pytest.raises(UpdateError, match=r"a\.pub"):
        load_signer(desk / "a.key", PIN)


@pytest.mark.parametrize("name", ["usb", "hsmx", "hsm:two", "hsm:2:3"])
def test_word_that_names_no_token_is_refused(stand_in, desk, capsys, name):
    assert key("a", "--token", name) == 1
    assert "is no token" in capsys.readouterr().err


def test_missing_library_is_named(desk, monkeypatch, capsys):
    monkeypatch.delenv("PYKCS11LIB", raising=False)
    assert key("a", "--token", "hsm") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "PYKCS11LIB" in line or "mahalla-agent[token]" in line


def test_missing_python_package_is_named(desk, monkeypatch, capsys):
    monkeypatch.setattr("securesystemslib.signer._hsm_signer.PKCS11_IMPORT_ERROR", "not there")
    assert key("a", "--token", "hsm") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install 'mahalla-agent[token]'" in line


def test_public_key_of_another_curve_is_refused(desk):
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    pem = other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (desk / "a.pub").write_bytes(pem)
    with pytest.raises(UpdateError, match="P-256"):
        load_public(desk / "a.pub")
