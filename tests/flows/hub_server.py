"""A hub in this process that answers as it was told to, on the loopback interface."""

from __future__ import annotations

import email.utils
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub:
    """``says`` is status, error code and error message of what is asked about a model.

    ``model`` is the answer where the status is 200; ``access`` the status of what only those may
    ask who were let in. ``asked`` holds (path, token) of every request.
    """

    def __init__(self) -> None:
        self.says: tuple[int, str | None, str | None] = (200, None, None)
        self.model: dict = {"id": "a/b", "siblings": []}
        self.access: tuple[int, str | None] = (200, None)
        self.ahead_seconds = self.silent_seconds = 0.0
        self.asked: list[tuple[str, str | None]] = []
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Answers", (_Answers,), {"hub": self})
        )
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Answers(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer(200)

    def do_GET(self) -> None:
        hub = self.hub
        hub.asked.append((self.path, self.headers.get("Authorization")))
        time.sleep(hub.silent_seconds)
        if self.path.endswith("/auth-check"):
            self._answer(*hub.access)
        else:
            self._answer(*hub.says)

    def _answer(self, status: int, code: str | None = None, message: str | None = None) -> None:
        body = json.dumps(self.hub.model if status == 200 else {}).encode()
        self.send_response_only(status)
        now = time.time() + self.hub.ahead_seconds
        self.send_header("Date", email.utils.formatdate(now, usegmt=True))
        for name, value in (("X-Error-Code", code), ("X-Error-Message", message)):
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
