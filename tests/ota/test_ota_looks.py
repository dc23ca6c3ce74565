"""A box that cannot update says so, and what one role has wrong stops none of the others."""

from __future__ import annotations

import json
import ssl
import threading
from datetime import datetime, timezone
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from brokers import Certificates
from ota_maintainer import days
from test_ota_attacks import resigned

from agent.cli import main
from agent.ota import looks
from agent.ota.fragments import Fragments, version
from agent.ota.settings import fragment_path, label_of
from agent.timekeeper import CLOCK_FILE

DAY_MS = 86_400_000
AGENT = """\
site: a
box: b
cameras: {gate: {role: face, source: "synthetic:street"}}
brokers: {office: {url: "mqtt://127.0.0.1:1"}}
"""
MARKET = b"cameras: {gate: {preset: market}}\n"


@pytest.fixture
def apply(tmp_path, maintainer, capsys):
    """`mahalla ota apply` on this box; its exit code and what it says of trouble."""

    def run(where=None, models="") -> tuple[int, str]:
        (tmp_path / "agent.yaml").write_text(AGENT + models)
        source = [] if models else [str(where or maintainer.public)]
        words = ["ota", "apply", *source, "-c", f"{tmp_path}/agent.yaml"]
        words += ["--root", str(maintainer.at().root_file), "--state", str(tmp_path / "state")]
        return main(words), capsys.readouterr().err

    return run


def whys(tmp_path, now_ms):
    return [row["why"] for row in looks.report(tmp_path / "state" / "ota", now_ms).values()]


def test_repository_that_is_held_back_is_told_until_it_is_renewed(tmp_path, maintainer, apply):
    now = datetime.now(timezone.utc)
    now_ms = round(now.timestamp() * 1000)
    maintainer.now = now - days(60)
    maintainer.publish()
    code, said = apply()
    assert (code, "holds it back" in said, whys(tmp_path, now_ms)) == (1, True, ["expired"])
    maintainer.now = now
    maintainer.publish()
    assert apply() == (0, "")
    assert whys(tmp_path, now_ms) == []


def test_clock_that_stands_still_since_the_last_run_does_not_thaw_it(tmp_path, maintainer, apply):
    """The time that a server has told the agent before counts where the clock is behind it."""
    now = datetime.now(timezone.utc)
    maintainer.now = now
    maintainer.publish()
    (tmp_path / "state").mkdir()
    known_ms = round((now + days(46)).timestamp() * 1000)
    row = {"floor_ms": known_ms, "synced_boot": "before"}
    (tmp_path / "state" / CLOCK_FILE).write_text(json.dumps(row))
    code, said = apply()
    assert (code, "holds it back" in said) == (1, True)
    (tmp_path / "state" / CLOCK_FILE).unlink()
    assert apply() == (0, "")


def test_line_that_is_away_is_news_after_a_day(tmp_path, maintainer, apply):
    code, said = apply("http://127.0.0.1:1")
    assert (code, said.count("cannot be read")) == (1, 1)
    now_ms = round(datetime.now(timezone.utc).timestamp() * 1000)
    assert whys(tmp_path, now_ms) == []
    assert whys(tmp_path, now_ms + DAY_MS) == ["unreachable"]
    apply("http://127.0.0.1:1")  # since the first time
    assert whys(tmp_path, now_ms + DAY_MS) == ["unreachable"]


def test_settings_come_though_the_models_do_not_verify(tmp_path, maintainer, apply):
    maintainer.now = datetime.now(timezone.utc)
    maintainer.publish()
    maintainer.at().put(fragment_path("a/b"), MARKET)
    maintainer.publish(maintainer.config, maintainer.online)
    resigned(maintainer, "models", lambda signed: None, maintainer.hotlists)
    code, said = apply()
    assert (code, said.count("does not verify")) == (1, 1)
    assert version(Fragments(tmp_path / "state").state().trial) == label_of(MARKET)


def test_server_is_believed_by_the_authority_that_the_configuration_names(
    tmp_path, maintainer, apply
):
    """An office's own one, as its broker's: the timer names no file on its command line."""
    maintainer.now = datetime.now(timezone.utc)
    maintainer.publish()
    office = Certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*office.issue("localhost"))
    handler = partial(SimpleHTTPRequestHandler, directory=str(maintainer.public))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"https://localhost:{server.server_port}/"
        code, said = apply(models=f"models: {{url: '{url}'}}\n")
        assert (code, "CERTIFICATE_VERIFY_FAILED" in said) == (1, True)
        assert apply(models=f"models: {{url: '{url}', ca: {office.ca}}}\n")[0] == 0
        server.shutdown()
