"""What somebody between the maintainer and the box can do: nothing gets in, the model stays."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import time
from http.server import SimpleHTTPRequestHandler

import pytest
from ota_maintainer import days
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, TargetFile

from agent.errors import UpdateError
from agent.ota.fetching import BundleFetcher, Line, WebFetcher
from agent.ota.packing import unpack


@pytest.fixture
def updated(maintainer, box):
    """The box has version 1, the repository version 2."""
    maintainer.release("1")
    box.apply(maintainer.public)
    maintainer.release("2")
    return box


def refused(box, where, words):
    with pytest.raises(UpdateError, match=words):
        box.apply(where)
    assert box.active == "1"
    assert list(box.models.slots._store.glob("*.part")) == []


def test_tampered_target(maintainer, updated, serve):
    file = maintainer.target("2")
    content = bytearray(file.read_bytes())
    content[2000] ^= 1
    file.write_bytes(content)
    refused(updated, serve(maintainer.public), "does not verify")


@pytest.mark.parametrize("harm", [b"", b"longer"])
def test_target_of_the_wrong_length(maintainer, updated, serve, harm):
    file = maintainer.target("2")
    file.write_bytes(file.read_bytes()[:1000] if not harm else file.read_bytes() + harm)
    refused(updated, serve(maintainer.public), "verify|cannot be read")


@pytest.mark.parametrize("what", ["timestamp.json", ".tar", "root.json"])
def test_endless_data_is_cut_off(maintainer, updated, serve, what):
    sent = []

    class Endless(SimpleHTTPRequestHandler):
        def log_message(self, *_args):
            pass

        def do_GET(self):
            if not self.path.endswith(what):
                return super().do_GET()
            self.send_response(200)
            self.end_headers()
            try:
                while len(sent) < 4000:
                    self.wfile.write(b"{" * 65536)
                    sent.append(1)
            except OSError:
                pass
            return None

    refused(updated, serve(maintainer.public, Endless), "cannot be read")
    assert len(sent) < 400  # what fits into the sockets, not what the server would like


def test_data_that_drips_is_given_up(maintainer, updated, serve):
    class Drip(SimpleHTTPRequestHandler):
        def log_message(self, *_args):
            pass

        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(100):
                    self.wfile.write(b"{")
                    time.sleep(0.05)
            except OSError:
                pass

    began = time.monotonic()
    with pytest.raises(Exception, match="not here after"):
        list(WebFetcher(Line(whole_s=0.3))._fetch(serve(maintainer.public, Drip) + "/x"))
    assert time.monotonic() - began < 3
    with pytest.raises(UpdateError, match="not here after"):
        updated.apply(serve(maintainer.public, Drip), line=Line(whole_s=0.3))
    assert updated.active == "1"


def test_server_that_is_away_or_redirects(maintainer, updated, serve):
    class Elsewhere(SimpleHTTPRequestHandler):
        def log_message(self, *_args):
            pass

        def do_GET(self):
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()

    refused(updated, "http://127.0.0.1:1", "cannot be read")
    refused(updated, serve(maintainer.public, Elsewhere), "cannot be read")


def test_old_repository_is_refused(maintainer, updated, tmp_path):
    shutil.copytree(maintainer.public, tmp_path / "old")
    maintainer.release("3")
    updated.apply(maintainer.public)
    with pytest.raises(UpdateError, match="does not verify"):
        updated.apply(tmp_path / "old")
    assert updated.active == "3"


def test_old_repository_is_refused_after_the_metadata_were_lost(maintainer, updated, tmp_path):
    shutil.copytree(maintainer.public, tmp_path / "old")
    maintainer.release("3")
    updated.apply(maintainer.public)
    for role in ("timestamp", "snapshot", "models", "targets"):
        (updated.models.ota / "tuf" / f"{role}.json").write_bytes(b"")
    with pytest.raises(UpdateError, match="older than what this box has seen"):
        updated.apply(tmp_path / "old")
    assert updated.active == "3"
    updated.apply(maintainer.public)  # and the right one is not locked out


def test_mixed_snapshots(maintainer, updated, tmp_path):
    shutil.copytree(maintainer.public, tmp_path / "mixed")
    maintainer.release("3")
    metadata = tmp_path / "mixed" / "metadata"
    shutil.copy(maintainer.public / "metadata" / "timestamp.json", metadata)
    shutil.copy(metadata / "2.snapshot.json", metadata / "3.snapshot.json")
    refused(updated, tmp_path / "mixed", "does not verify")


ROLES = ["snapshot", "targets", "models", "halts", "hotlists", "config"]


@pytest.mark.parametrize("role", ROLES)
def test_role_that_is_rolled_back_under_a_new_timestamp_is_refused(maintainer, updated, role):
    """Whoever has the online key signs a snapshot that names older metadata of another role."""
    for path in ("halts/halts.json", "hotlists/stolen.list", "config/a/b.yaml"):
        content = b'{"v":1,"halted":{}}' if path.startswith("halts") else b"1"
        maintainer.at().put(path, content)
    keys = [maintainer.models, maintainer.hotlists, maintainer.config, maintainer.online]
    for _ in range(2):
        resigned(maintainer, "targets", lambda signed: None, *maintainer.root[:2])
        maintainer.publish(*keys)
    client = updated.client(maintainer.public)
    for each in ROLES[2:]:
        client.target(f"{each}/x/y" if each == "config" else f"{each}/x")
    metadata, repo = maintainer.public / "metadata", maintainer.at()
    snapshot, stamp = repo._newest("snapshot"), repo._newest("timestamp")
    stamp.signed.version += 1
    if role == "snapshot":
        stamp.signed.snapshot_meta.version -= 1
    else:
        snapshot.signed.meta[f"{role}.json"].version -= 1
        snapshot.signed.version += 1
        stamp.signed.snapshot_meta.version = snapshot.signed.version
        snapshot.sign(maintainer.online)
        snapshot.to_file(str(metadata / f"{snapshot.signed.version}.snapshot.json"))
    stamp.sign(maintainer.online)
    stamp.to_file(str(metadata / "timestamp.json"))
    refused(updated, maintainer.public, "does not verify")


@pytest.mark.parametrize("role", ["models", "config"])
def test_what_somebody_writes_into_the_served_folder_is_never_signed(maintainer, updated, role):
    """Who has the web server alone hopes that the next publish puts its key to what he left."""
    maintainer.at().put("config/a/b.yaml", b"cameras: {}")
    keys = [maintainer.models, maintainer.config, maintainer.online]
    maintainer.publish(*keys)
    metadata = maintainer.public / "metadata"
    place = metadata / f"{maintainer.at()._version(role)}.{role}.json"
    left = Metadata.from_file(str(place))
    evil = {"models": "models/face/6.6.6.tar", "config": "config/c/d.yaml"}[role]
    left.signed.targets[evil] = TargetFile.from_data(evil, b"evil", ["sha256"])
    left.to_file(str(place))
    maintainer.add("3")
    maintainer.publish(*keys)
    newest = max(metadata.glob(f"*.{role}.json"), key=lambda path: int(path.name.split(".")[0]))
    assert newest != place
    assert evil not in newest.read_text() + place.read_text()
    assert updated.apply(maintainer.public)[0].version == "3"


def test_served_folder_alone_is_no_repository(maintainer, updated):
    shutil.rmtree(maintainer.folder / "repo" / "metadata")
    for verb in (maintainer.publish, maintainer.at().expiries):
        with pytest.raises(UpdateError, match="own copy is not here"):
            verb()


def test_list_of_releases_that_somebody_changed_on_the_server_is_told(maintainer, updated):
    place = maintainer.at()._place(maintainer.at()._target(RELEASES))
    place.write_bytes(place.read_bytes().replace(b'"face"', b'"evil"'))
    with pytest.raises(UpdateError, match="is not what was signed"):
        maintainer.add("3")


def test_frozen_repository_is_told(maintainer, updated):
    updated.now += days(46)
    refused(updated, maintainer.public, "holds it back")


def test_clock_set_back_does_not_thaw_it(maintainer, updated):
    """A clock in the past is judged by the latest signature that the box has seen."""
    maintainer.now += days(200)
    maintainer.publish()
    fresh = maintainer.public / "metadata" / "timestamp.json"
    updated.now = maintainer.now
    updated.apply(maintainer.public)
    updated.now -= days(20_000)
    assert updated.apply(maintainer.public) == []  # goes on, with the floor for its clock
    signed = Metadata.from_file(str(fresh))
    signed.signed.version += 1
    signed.signed.expires -= days(60)
    signed.sign(maintainer.online)
    signed.to_file(str(fresh))
    with pytest.raises(UpdateError, match="holds it back"):
        updated.apply(maintainer.public)
    assert updated.active == "2"


def resigned(maintainer, role, change, *signers):
    """Change the newest metadata of a role, sign it with these keys and let snapshots follow."""
    repo = maintainer.at()
    version, signed = repo._version(role), repo._newest(role)
    change(signed.signed)
    signed.signed.version += 1
    signed.signatures.clear()
    for signer in signers:
        signed.sign(signer, append=True)
    repo._write(f"{version + 1}.{role}.json", signed)
    if role != "root":
        snapshot = repo._newest("snapshot")
        snapshot.signed.meta[f"{role}.json"].version = version + 1
        repo._write(f"{snapshot.signed.version}.snapshot.json", snapshot)
        repo._put_out([], [], [maintainer.online])


def test_models_signed_by_another_key(maintainer, updated):
    for signer in (maintainer.online, maintainer.hotlists, CryptoSigner.generate_ed25519()):
        resigned(maintainer, "models", lambda signed: None, signer)
        refused(updated, maintainer.public, "does not verify")


@pytest.mark.parametrize("signers", [1, 2])
def test_root_needs_its_threshold(maintainer, updated, signers):
    stranger = CryptoSigner.generate_ed25519()

    def change(root):
        root.add_key(stranger.public_key, "timestamp")

    keys = maintainer.root[:signers]
    resigned(maintainer, "root", change, *keys, *([stranger] * (2 - signers)))
    if signers == 2:
        assert updated.apply(maintainer.public)[0].state == "active"
    else:
        refused(updated, maintainer.public, "does not verify")


def test_root_that_changed_several_times_is_followed(maintainer, updated):
    for _ in range(5):
        fresh, old = CryptoSigner.generate_ed25519(), maintainer.root[0]

        def change(root, fresh=fresh, old=old):
            for role in ("root", "targets"):
                root.revoke_key(old.public_key.keyid, role)
                root.add_key(fresh.public_key, role)

        # New and old keys sign: one of the three stays in each step.
        resigned(maintainer, "root", change, *maintainer.root, fresh)
        maintainer.root = [*maintainer.root[1:], fresh]
    resigned(maintainer, "targets", lambda signed: None, *maintainer.root)
    assert updated.apply(maintainer.public)[0].state == "active"


def test_root_keys_that_were_revoked_sign_nothing_more(maintainer, updated):
    gone = maintainer.root[0]

    def change(root):
        for role in ("root", "targets"):
            root.revoke_key(gone.public_key.keyid, role)

    resigned(maintainer, "root", change, *maintainer.root)
    resigned(maintainer, "root", lambda root: None, gone, maintainer.root[1])
    refused(updated, maintainer.public, "does not verify")


def test_short_of_keys_nothing_is_published(maintainer):
    maintainer.add("1")
    before = sorted(maintainer.public.rglob("*"))
    for signers in ((maintainer.online,), (maintainer.models,), (maintainer.hotlists,)):
        with pytest.raises(UpdateError, match="keys are missing"):
            maintainer.publish(*signers)
        assert not (maintainer.public / "metadata" / "timestamp.json").exists()
    assert [each for each in before if not each.exists()] == []


def test_path_in_a_target_name(maintainer, updated):
    """Names are checked before they are asked for; the delegation does not reach them either."""
    document = json.loads(maintainer.at()._place(maintainer.at()._target(RELEASES)).read_bytes())
    document["releases"][0]["version"] = "../../../evil"
    content = json.dumps(document).encode()

    def change(models):
        models.targets[RELEASES] = TargetFile.from_data(RELEASES, content, ["sha256"])
        models.targets["models/../../evil.tar"] = models.targets[RELEASES]

    resigned(maintainer, "models", change, maintainer.models)
    place = maintainer.at()._place(maintainer.at()._target(RELEASES))
    place.write_bytes(content)
    refused(updated, maintainer.public, "version .* is not allowed")


RELEASES = "models/releases.json"


def member(name, content=b"", **rest):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in rest.items():
        setattr(info, key, value)
    return info, content


def archive(path, *members):
    with tarfile.open(path, "w") as out:
        for info, content in members:
            out.addfile(info, io.BytesIO(content))
    return path


HOSTILE = {
    "upwards": member("../model.toml"),
    "absolute": member("/model.toml"),
    "deeper": member("golden/../../x.npz"),
    "hidden": member(".tflite"),
    "program": member("model.py", b"x"),
    "link": member("model.toml", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "hard-link": member("model.toml", type=tarfile.LNKTYPE, linkname="x.tflite"),
    "device": member("model.toml", type=tarfile.CHRTYPE),
    "fifo": member("model.toml", type=tarfile.FIFOTYPE),
    "folder": member("golden", type=tarfile.DIRTYPE),
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_package_with_more_than_a_package_is_refused(tmp_path, hostile):
    packed = archive(tmp_path / "p.tar", member("x.tflite", b"x"), HOSTILE[hostile])
    with pytest.raises(UpdateError, match="not allowed"):
        unpack(packed, tmp_path / "box" / "face")
    there = {path.name for path in tmp_path.rglob("*")}
    assert there == {"p.tar", "box", "face", "golden", "x.tflite"}


def test_bombs_are_no_packages_and_no_bundles(maintainer, updated, tmp_path):
    """Packages and bundles are plain tars: what is compressed, or has holes, is not looked into."""
    bomb = tmp_path / "bomb.tar"
    with tarfile.open(bomb, "w:gz") as out:
        out.addfile(member("x.tflite")[0], io.BytesIO(b""))
        info, content = member("y.tflite", bytes(50_000_000))
        out.addfile(info, io.BytesIO(content))
    assert bomb.stat().st_size < 100_000
    with pytest.raises(UpdateError, match="cannot be unpacked"):
        unpack(bomb, tmp_path / "one")
    refused(updated, bomb, "is no bundle")
    holes, _ = member("x.tflite")
    holes.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    holes.pax_headers |= {"GNU.sparse.name": "x.tflite", "GNU.sparse.realsize": str(1 << 40)}
    content = b"1\n0\n1\n".ljust(512, b"\0") + b"x"
    holes.size = len(content)
    with tarfile.open(bomb, "w", format=tarfile.PAX_FORMAT) as out:
        out.addfile(holes, io.BytesIO(content))
    with pytest.raises(UpdateError, match="not allowed"):
        unpack(bomb, tmp_path / "two")
    assert BundleFetcher(bomb)._places == {}


def test_package_with_a_file_twice_and_no_tar_at_all(tmp_path):
    packed = archive(tmp_path / "p.tar", member("x.tflite", b"x"), member("x.tflite", b"y"))
    with pytest.raises(UpdateError, match="twice"):
        unpack(packed, tmp_path / "one")
    packed.write_bytes(b"PK\x03\x04" * 300)
    with pytest.raises(UpdateError, match="cannot be unpacked"):
        unpack(packed, tmp_path / "two")


def test_links_in_bundles_and_folders_lead_nowhere(maintainer, updated, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    link = member("metadata/timestamp.json", type=tarfile.SYMTYPE, linkname=str(secret))
    bundle = archive(tmp_path / "b.ota", link, member("../x", b"x"))
    assert "metadata/timestamp.json" not in BundleFetcher(bundle)._places
    refused(updated, bundle, "cannot be read")
    shutil.copytree(maintainer.public, tmp_path / "stick")
    stamp = tmp_path / "stick" / "metadata" / "timestamp.json"
    stamp.unlink()
    stamp.symlink_to(secret)
    refused(updated, tmp_path / "stick", "cannot be read")


def test_stick_older_than_the_box(maintainer, updated, tmp_path):
    maintainer.at().bundle(tmp_path / "old.ota")
    maintainer.release("3")
    updated.apply(maintainer.public)
    with pytest.raises(UpdateError, match="does not verify"):
        updated.apply(tmp_path / "old.ota")
    assert updated.active == "3"
