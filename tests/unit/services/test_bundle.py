"""Canaries: whatever names a user, a machine or a secret must not reach the zip."""

import json
import zipfile

import pytest

from ethtune.core.compose import compose
from ethtune.core.errors import UsageError
from ethtune.services.bundle import write_bundle
from ethtune.services.diagnosis import DoctorReport, Finding

HOME = "/home/canary-person"
CANARIES = {
    "HF_TOKEN": "hf_canaryCANARYcanary00",
    "WANDB_API_KEY": "canarywandb0123456789",
    "MY_PASSWORD": "canary pass/word",
    "ETHTUNE_RPC_URL": "https://node.example/v3/canaryrpc",
    "AWS_SECRET_ACCESS_KEY": "canaryaws",
}


@pytest.fixture
def bundled(tmp_path, monkeypatch):
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", HOME)
    monkeypatch.setenv("LOGNAME", "canary-person")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "token").write_text("hf_canarylogin0123456789\n")
    monkeypatch.setattr("platform.node", lambda: "canary-host")
    said = " | ".join(
        [*CANARIES.values(), "hf_canarylogin0123456789", f"{HOME}/runs", "/home/canary-other/x",
         "/Users/canary-mac/x", "C:\\Users\\canary-win\\x", "canary-person@canary-host",
         "canary.mail@example.org", "https://u:canaryurl@host/x?api_key=canarykey"]
    )  # fmt: skip
    run = tmp_path / "run"
    run.mkdir()
    (run / "manifest.json").write_text(json.dumps({"command": said}))
    (run / "events.jsonl").write_text(json.dumps({"kind": "message", "text": said}) + "\n")
    (run / "adapter_model.safetensors").write_bytes(b"weights")
    finding = Finding("disk.space", "disk", "?", "fail", said, said, (said,))
    config = compose(overrides={"training.output_dir": (f"{HOME}/runs", "x")}).to_yaml()
    names = write_bundle(
        tmp_path / "out.zip", DoctorReport((finding,), said, False), config=config, run=run
    )
    return tmp_path / "out.zip", names


def test_no_canary_is_left(bundled):
    path, names = bundled
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == names
        texts = {name: archive.read(name).decode() for name in names}
    left = {name: text[text.find("canary") - 40 :][:80] for name, text in texts.items()
            if "canary" in text.casefold()}  # fmt: skip
    assert left == {}


def test_what_helps_is_in_it(bundled):
    path, names = bundled
    assert names == [
        "doctor.json", "versions.txt", "config.yaml", "run/manifest.json", "run/events.jsonl"
    ]  # fmt: skip
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("doctor.json"))["findings"][0]["id"] == "disk.space"
        versions = archive.read("versions.txt").decode()
        assert "output_dir: ~/runs" in archive.read("config.yaml").decode()
    assert "torch==" in versions
    assert "HF_TOKEN" in versions, "names of variables help, their values do not"


def test_an_older_bundle_is_not_overwritten(bundled):
    with pytest.raises(UsageError, match="there already"):
        write_bundle(bundled[0], DoctorReport((), "", True), config="", run=None)
