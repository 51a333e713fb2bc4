"""A terminal of a given size for tests, with what it shows: tmux."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
import uuid

import pytest

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
MONITOR = (sys.executable, "-c", "from ethtune.cli.app import main; main()", "monitor")


class Pane:
    """One terminal; ``command`` runs in it and the pane stays when it has ended."""

    def __init__(self, *command, width, height, folder, **environment):
        self._server = ("tmux", "-L", f"ethtune-{uuid.uuid4().hex[:8]}", "-f", os.devnull)
        given = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "LANG": "C.UTF-8"}
        given |= environment
        shell = "env -u COLUMNS -u LINES " + " ".join(
            f"{k}={shlex.quote(v)}" for k, v in given.items()
        )
        shell += " " + shlex.join(map(str, command)) + '; echo "[ended $?]"; sleep 100'
        self._tmux(
            "new-session", "-d", "-x", str(width), "-y", str(height), "-c", str(folder), shell
        )

    def text(self, *, styled=False):
        """What stands on the screen; with escape sequences where ``styled``."""
        return self._tmux("capture-pane", "-p", *(["-e"] if styled else []))

    def wait_for(self, words, seconds=30):
        """Until they stand on the screen; what it shows then."""
        end = time.monotonic() + seconds
        while words not in (text := self.text()):
            assert time.monotonic() < end, f"no {words!r} in:\n{text}"
            time.sleep(0.1)
        return text

    def press(self, *keys):
        self._tmux("send-keys", *keys)

    def resize(self, width, height):
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def close(self):
        self._tmux("kill-server")

    def _tmux(self, *words):
        done = subprocess.run(
            [*self._server, *words], capture_output=True, text=True, check=True, timeout=10
        )
        return done.stdout


@pytest.fixture
def open_pane():
    """``open_pane(*command, width, height, folder, NAME=value)``."""
    panes = []

    def open_it(*command, **given):
        panes.append(Pane(*command, **given))
        return panes[-1]

    yield open_it
    for pane in panes:
        pane.close()
