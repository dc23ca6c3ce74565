"""`mahalla site`: what is signed, what is refused, what is written."""

import json
import re
import shutil
import stat
import subprocess
from datetime import datetime, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from daemon import agent_yaml
from mahalla import Mahalla
from samples import DRAWN

from agent.cli import main
from agent.config.certificates import validity_ms
from agent.config.load import load
from agent.errors import UpdateError
from agent.ota.certificates import accept
from agent.site import plan


@pytest.fixture
def mahalla(tmp_path):
    return Mahalla(tmp_path)


def certificate(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def revoked(mahalla):
    return x509.load_pem_x509_crl((mahalla.out / "office" / "crl.pem").read_bytes())


def test_box_gets_a_certificate_in_its_name_dated_from_1970(mahalla):
    mahalla.build()
    made = certificate(mahalla.cert("north-gate"))
    assert made.subject.rfc4514_string() == "CN=alpomish_north-gate"
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["alpomish_north-gate"]
    assert validity_ms(mahalla.cert("north-gate"))[0] == 0
    for file in (mahalla.ca, mahalla.out / "office" / "broker.pem"):
        assert validity_ms(file)[0] == 0
    # Nor does the list of the revoked run out, or begin too late for a broker without a clock.
    now = datetime.now(timezone.utc)
    assert revoked(mahalla).last_update_utc.year == 1970
    assert (revoked(mahalla).next_update_utc - now).days > 20 * 365


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not here (apt install openssl)")
@pytest.mark.parametrize("utc_s", [1, 1_000_000_000, 1_790_000_000])
def test_clock_that_is_not_set_makes_nobody_a_stranger(mahalla, utc_s):
    """What a box asks of the office's certificate, and the office of the box's and of its list."""
    mahalla.build()
    mahalla.do("revoke", "bazaar")
    stranger = mahalla.folder / "authority" / "issued" / "alpomish_bazaar" / "1.pem"
    for purpose, file, good in (
        ("sslserver", mahalla.out / "office" / "broker.pem", True),
        ("sslclient", mahalla.cert("north-gate"), True),
        ("sslclient", mahalla.out / "office" / "broker.pem", False),
        ("sslserver", mahalla.cert("north-gate"), False),  # no box plays the office
        ("sslclient", stranger, False),
    ):
        words = ["openssl", "verify", "-x509_strict", "-attime", utc_s, "-purpose", purpose]
        words += ["-crl_check", "-CRLfile", mahalla.out / "office" / "crl.pem"]
        done = subprocess.run([*map(str, words), "-CAfile", str(mahalla.ca), str(file)])
        assert (done.returncode == 0) is good, (purpose, file)


def test_keys_are_for_their_owner_alone_and_the_authoritys_is_encrypted(mahalla):
    mahalla.build()
    secrets = [*mahalla.folder.glob("keys/*"), *mahalla.folder.glob("logins/*")]
    secrets += [mahalla.folder / "authority/ca.key", mahalla.out / "office/passwords"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in secrets} == {0o600}
    with pytest.raises(TypeError):
        serialization.load_pem_private_key((mahalla.folder / "authority/ca.key").read_bytes(), None)
    laid_out = [file.read_bytes() for file in mahalla.out.rglob("*") if file.is_file()]
    assert not any(b"PRIVATE" in content for content in laid_out)


def test_second_build_changes_nothing(mahalla):
    mahalla.build()
    before = {file: file.stat().st_mtime_ns for file in mahalla.out.rglob("*")}
    assert mahalla.do("build", "--requests", mahalla.requests) == 0
    assert before == {file: file.stat().st_mtime_ns for file in mahalla.out.rglob("*")}


def test_request_made_twice_is_for_the_same_key(mahalla, capsys):
    mahalla.request("north-gate")
    mahalla.request("north-gate")
    prints = re.findall(r"key ((?:[0-9a-f]{4} ?){8})", capsys.readouterr().out)
    assert len(prints) == 2
    assert len(set(prints)) == 1


def test_request_for_a_user_who_is_not_here_leaves_no_key(mahalla, capsys):
    key = mahalla.folder / "box.key"
    words = ("--site", "alpomish", "--box", "north-gate", "--key", key, "--out", mahalla.requests)
    assert mahalla.site("request", *words, "--user", "nobody-of-this-name") == 1
    assert "install the agent first" in capsys.readouterr().err
    assert not list(mahalla.folder.glob("box.key*"))


def test_box_without_a_request_is_named_and_has_no_rights(mahalla, capsys):
    mahalla.build("north-gate")
    assert "alpomish_bazaar: no request yet" in capsys.readouterr().out
    acl = (mahalla.out / "office" / "acl").read_text()
    assert "user alpomish_north-gate\n" in acl
    assert "bazaar" not in acl


@pytest.mark.parametrize("verb", ["build", "replace", "revoke"])
def test_wrong_passphrase_signs_nothing(mahalla, verb, capsys):
    mahalla.build()
    mahalla.request("north-gate" if verb == "replace" else "city", "new")
    before = {file: file.read_bytes() for file in mahalla.folder.glob("authority/**/*.pem")}
    (mahalla.folder / "secret").write_text("another passphrase")
    more = {
        "build": ("--requests", mahalla.requests),
        "replace": ("north-gate", "--requests", mahalla.requests),
        "revoke": ("north-gate",),
    }
    assert mahalla.do(verb, *more[verb]) == 1
    assert "the passphrase is wrong" in capsys.readouterr().err
    assert before == {file: file.read_bytes() for file in mahalla.folder.glob("authority/**/*.pem")}


def test_revoke_by_serial_leaves_the_others_of_that_name(mahalla, capsys):
    mahalla.build()
    first = certificate(mahalla.cert("north-gate")).serial_number
    assert mahalla.do("renew", "north-gate") == 0
    second = certificate(mahalla.cert("north-gate")).serial_number
    assert mahalla.do("revoke", "--serial", f"{first:x}") == 0
    assert [entry.serial_number for entry in revoked(mahalla)] == [first]
    assert certificate(mahalla.cert("north-gate")).serial_number == second
    assert mahalla.do("revoke", "--serial", "beef") == 1
    assert "no certificate of this authority" in capsys.readouterr().err


def test_replace_revokes_all_that_the_box_had_and_refuses_its_old_key(mahalla, capsys):
    mahalla.build()
    mahalla.do("renew", "north-gate")
    old = {
        certificate(file).serial_number
        for file in mahalla.folder.glob("authority/issued/alpomish_north-gate/*")
    }
    words = ("replace", "north-gate", "--requests", mahalla.requests)
    assert mahalla.do(*words) == 1
    assert "has had this key already" in capsys.readouterr().err
    mahalla.request("north-gate", "new")
    assert mahalla.do(*words) == 0
    assert {entry.serial_number for entry in revoked(mahalla)} == old
    assert (mahalla.out / "city" / "revoked").read_text() == "alpomish_north-gate\n"


def test_certificate_that_ends_soon_is_renewed_as_a_box_takes_it_over_the_air(mahalla, tmp_path):
    plan = mahalla.plan.read_text()
    mahalla.plan.write_text(f"{plan}life_days: 30\n")
    mahalla.build()
    config = tmp_path / "agent.yaml"
    old = shutil.copy(mahalla.cert("north-gate"), tmp_path / "old.pem")
    entry = mahalla.entry(8883).replace(str(mahalla.cert("north-gate")), str(old))
    config.write_text(agent_yaml({"drawn": DRAWN}, "X").replace("{url: X}", entry))
    mahalla.plan.write_text(plan)
    assert mahalla.do("renew") == 0
    (tmp_path / "state" / "ota").mkdir(parents=True)
    accept(mahalla.cert("north-gate").read_bytes(), load(config), tmp_path / "state")
    with pytest.raises(UpdateError):
        accept(mahalla.cert("bazaar").read_bytes(), load(config), tmp_path / "state")


def test_request_of_another_box_or_key_is_refused(mahalla, capsys):
    mahalla.build()
    shutil.copy(
        mahalla.requests / "alpomish_bazaar.csr", mahalla.requests / "alpomish_north-gate.csr"
    )
    assert mahalla.do("build", "--requests", mahalla.requests) == 1
    assert "was made for CN=alpomish_bazaar, not alpomish_north-gate" in capsys.readouterr().err
    mahalla.request("north-gate", "somebody-elses")
    assert mahalla.do("build", "--requests", mahalla.requests) == 1
    assert "is not the key that alpomish_north-gate has" in capsys.readouterr().err
    (mahalla.requests / "alpomish_north-gate.csr").write_bytes(b"nonsense")
    assert mahalla.do("build", "--requests", mahalla.requests) == 1
    assert "is no request" in capsys.readouterr().err


def test_city_is_told_the_same_rights_and_the_revoked_by_the_name_it_looks_for(mahalla):
    mahalla.build()
    mahalla.do("revoke", "bazaar")
    city = mahalla.out / "city"
    told = json.loads((city / "definitions.json").read_text())
    assert [user["name"] for user in told["users"]] == ["alpomish_north-gate"]
    (rights,) = told["topic_permissions"]
    for key, allowed in {
        "sm.1.alpomish.north-gate.e.gate-in.plate.hit": True,
        "sm.1.alpomish.north-gate.status": True,
        "safecity.alpomish.north-gate.gate-in.plate.hit": True,
        "safecity.alpomish.north-gate.gate-in.audit": True,
        "safecity.alpomish.north-gates.gate-in.plate.hit": False,
        "safecity.alpomish.north-gate": False,
        "sm.1.alpomish.north-gate.cmd.x.seen": False,
        "sm.1.alpomish.bazaar.status": False,
    }.items():
        assert bool(re.search(rights["write"], key)) is allowed, key
    assert re.search(rights["read"], "sm.1.alpomish.north-gate.cmd.#")
    (queues,) = told["permissions"]
    assert not re.search(queues["configure"], "mqtt-subscription-alpomish_north-gate-2qos1")
    (crl,) = (city / "crl").iterdir()
    assert x509.load_pem_x509_crl(crl.read_bytes()) == revoked(mahalla)
    if shutil.which("openssl"):
        words = ["openssl", "x509", "-noout", "-hash", "-in", str(mahalla.ca)]
        named = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
        assert crl.name == f"{named}.r0"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("authority: authority\n", "", "authority: is missing"),
        ("hosts: [localhost, 127.0.0.1]", "hosts: [office lan]", "is no host"),
        ("north-gate: , bazaar: ", "North Gate: ", 'did you mean north-gate'),
        ("north-gate: , bazaar: ", "", "no boxes"),
        ("bazaar: ", "city: ", "what a broker is called"),
        ("[seen, resend]", "[reboot]", "allowed: snapshot, evidence"),
        ("{site}/{box}/", "{box}/{site}/", "the topic lacks {site}/{box}"),
        ("auditor:", "auditor: {password: x}", "secret written inline"),
        ("people:", "poeple:", "unknown key"),
    ],
)  # fmt: skip
def test_check_names_each_problem_with_its_place(mahalla, old, new, said, capsys):
    mahalla.plan.write_text(mahalla.plan.read_text().replace(old, new))
    assert mahalla.site("check", mahalla.plan) == 1
    told = capsys.readouterr().out
    assert re.search(r"site\.yaml:\d+:\d+: ", told)
    assert said in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("revoke",), "name a box or give --serial"),
        (("revoke", "north-gates"), "did you mean north-gate"),
        (("revoke", "bazaar"), "has no certificate"),
        (("renew", "bazaar"), "has no certificate"),
        (("replace", "bazaar", "--requests", "nowhere"), "alpomish_bazaar.csr"),
    ],
)
def test_verb_that_cannot_be_done_says_why_in_one_line(mahalla, words, said, capsys):
    mahalla.build("north-gate")
    capsys.readouterr()
    assert mahalla.do(*words) == (2 if words == ("revoke",) else 1)
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err
    assert told.err.count("\n") == 1


def test_new_never_writes_over_what_is_there(mahalla, capsys):
    words = ["site", "new", str(mahalla.folder / "alpomish"), "--host", "x", "--box", "y"]
    assert main([*words, "--authority", str(mahalla.folder / "authority")]) == 1
    assert "is there already" in capsys.readouterr().err
    key = (mahalla.folder / "authority" / "ca.key").read_bytes()
    other = [*words[:2], str(mahalla.folder / "chorsu"), *words[3:]]
    assert main([*other, "--authority", str(mahalla.folder / "authority")]) == 0
    assert (mahalla.folder / "authority" / "ca.key").read_bytes() == key


def test_new_takes_several_boxes(mahalla):
    words = ("--authority", mahalla.folder / "authority", "--host", "x", "--box", "a", "--box", "b")
    assert mahalla.site("new", mahalla.folder / "chorsu", *words) == 0
    begun, _ = plan.load(mahalla.folder / "chorsu" / "site.yaml")
    assert list(begun.boxes) == ["a", "b"]
