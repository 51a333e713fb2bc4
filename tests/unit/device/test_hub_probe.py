"""What the hub answers, as the hub's own library reports it; a server in this process speaks."""

from importlib import resources

import pytest
from hub_server import Hub

from ethtune.device.child import run_probe


@pytest.fixture
def ask(tmp_path):
    """The probe's stages, asked of a hub that says this."""
    hub = Hub()

    def run(*says, revision=None, endpoint=None, **facts):
        hub.says = (*says, None, None, None)[:3] if says else hub.says
        for name, value in facts.items():
            setattr(hub, name, value)
        source = (resources.files("ethtune.assets") / "probes" / "hub.py").read_text("utf-8")
        result = run_probe(
            source, timeout_seconds=30, arguments=["a/b", *([revision] if revision else [])],
            environment={
                "HF_ENDPOINT": endpoint or hub.endpoint,
                "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0", "NO_PROXY": "*",
                "HF_TOKEN": "hf_canarycanary",
            },
        )  # fmt: skip
        assert result.problem is None
        assert "canary" not in str(result.lines)
        return {line["stage"]: line for line in result.lines}

    yield run
    hub.close()


@pytest.mark.parametrize(
    ("status", "code", "access"),
    [
        (200, None, "granted"),
        (403, "GatedRepo", "gated"),
        (401, None, "not found"),
        (404, "RepoNotFound", "not found"),
        (404, "RevisionNotFound", "no such revision"),
        (500, None, "HTTP 500"),
    ],
)
def test_may_this_login_have_the_model(ask, status, code, access):
    assert ask(status, code)["access"]["access"] == access


def test_a_token_that_the_hub_does_not_know(ask):
    answer = ask(401, None, "Invalid credentials in Authorization header")
    assert answer["access"]["access"] == "bad token"


@pytest.mark.parametrize(
    ("status", "code", "access"),
    [(200, None, "granted"), (403, "GatedRepo", "gated"), (404, "RepoNotFound", "not told")],
)
def test_only_a_gated_model_is_asked_whether_we_may(ask, status, code, access):
    model = {"id": "a/b", "gated": "manual"}
    assert ask(model=model, access=(status, code))["access"]["access"] == access
    assert ask(model={"id": "a/b"}, access=(status, code))["access"]["access"] == "granted"


def test_the_download_is_of_the_weights_that_are_loaded(ask):
    sizes = {"model-1.safetensors": 5, "model-2.safetensors": 6, "consolidated.safetensors": 11}
    files = [{"rfilename": name, "size": size} for name, size in sizes.items()]
    model = {"id": "a/b", "siblings": [*files, {"rfilename": "pytorch_model.bin", "size": 11}]}
    assert ask(model=model)["access"]["download_bytes"] == 11
    assert ask(model={"id": "a/b"})["access"]["download_bytes"] is None


def test_the_clock_is_compared(ask):
    assert ask(ahead_seconds=5000)["endpoint"]["clock_ahead_seconds"] == pytest.approx(
        -5000, abs=30
    )


def test_no_hub_is_said_with_its_reason(ask):
    stages = ask(endpoint="http://127.0.0.1:9")
    assert stages["endpoint"]["state"] == "failed"
    assert "onnect" in stages["endpoint"]["error"]
    assert "access" not in stages
