"""What the hub answers, as the hub's own library reports it; a server in this process speaks."""

import email.utils
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources

import pytest

from ethtune.device.child import run_probe


class Hub(BaseHTTPRequestHandler):
    """Answers as the server was told to."""

    def do_HEAD(self):
        self._answer(200)

    def do_GET(self):
        status, code = self.server.says
        self._answer(status, code)

    def _answer(self, status, code=None):
        self.send_response_only(status)
        self.send_header("Date", email.utils.formatdate(time.time() + self.server.ahead))
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "2")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture
def ask(tmp_path):
    """The probe's stages, asked of a hub that says this."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def run(status=200, code=None, ahead=0.0, endpoint=None):
        server.says, server.ahead = (status, code), ahead
        source = (resources.files("ethtune.assets") / "probes" / "hub.py").read_text("utf-8")
        result = run_probe(
            source, timeout_seconds=30, arguments=["a/b"],
            environment={
                "HF_ENDPOINT": endpoint or f"http://127.0.0.1:{server.server_port}",
                "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0", "NO_PROXY": "*",
                "HF_TOKEN": "hf_canarycanary",
            },
        )  # fmt: skip
        assert result.problem is None
        assert "canary" not in str(result.lines)
        return {line["stage"]: line for line in result.lines}

    yield run
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "access"),
    [
        (200, None, "granted"),
        (403, "GatedRepo", "gated"),
        (404, "RepoNotFound", "not found"),
        (500, None, "HTTP 500"),
    ],
)
def test_may_this_login_have_the_model(ask, status, code, access):
    assert ask(status, code)["access"]["access"] == access


def test_the_clock_is_compared(ask):
    assert ask(ahead=5000)["endpoint"]["clock_ahead_seconds"] == pytest.approx(-5000, abs=30)


def test_no_hub_is_said_with_its_reason(ask):
    stages = ask(endpoint="http://127.0.0.1:9")
    assert stages["endpoint"]["state"] == "failed"
    assert "onnect" in stages["endpoint"]["error"]
    assert "access" not in stages
