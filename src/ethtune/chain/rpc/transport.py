"""Bytes to the node, bytes back, over HTTP: limits of time and size, and what a status means.

TLS certificates are verified. Redirects are never followed: they would carry the key to wherever
they point. No exception of the library leaves this file, for its text may hold the URL.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ethtune import __version__
from ethtune.chain.rpc.endpoint import Endpoint
from ethtune.chain.rpc.pace import retry_after_seconds
from ethtune.chain.rpc.settings import NodeSettings
from ethtune.chain.rpc.wire import shown
from ethtune.core.errors import MachineError, UsageError

if TYPE_CHECKING:
    import httpx2

_HEADERS = {"content-type": "application/json", "user-agent": f"ethtune/{__version__}"}
_DEADLINE_TIMEOUTS = 4  # a server that sends byte by byte is cut off after so many timeouts
_SAID_BYTES = 1000
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_ABOUT_SIZE = frozenset({408, 500, 504})
_CHECK = "check the URL in ETHTUNE_RPC_URL"
_HINTS = {
    401: f"{_CHECK}: the node wants a valid key",
    403: f"{_CHECK}, and what the plan of its key allows",
    404: f"{_CHECK}: nothing answers under its path",
}
_MEANT_FOR_US = (_BUSY | _HINTS.keys()) - {500}  # whatever the body says


class Trouble(Exception):
    """A request failed that may succeed when sent again.

    ``may_be_size``: a smaller one is likelier to. ``is_limit``: the server is asked too often.
    """

    def __init__(
        self,
        reason: str,
        *,
        may_be_size: bool = False,
        is_limit: bool = False,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.may_be_size = may_be_size
        self.is_limit = is_limit
        self.retry_after_seconds = retry_after_seconds


class Refused(Exception):
    """The server answers the request with a status that will be the same next time."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.hint = _HINTS.get(status, "is the URL that of an Ethereum JSON-RPC endpoint?")


class Transport:
    """A pool of connections to one endpoint; threads may share it."""

    def __init__(self, endpoint: Endpoint, settings: NodeSettings) -> None:
        import httpx2

        for talker in ("httpx2", "httpcore2"):  # they log URLs and headers
            logging.getLogger(talker).setLevel(logging.WARNING)
        self._endpoint, self._settings = endpoint, settings
        try:
            self._url = httpx2.URL(endpoint.url)
        except httpx2.InvalidURL:
            raise UsageError("the RPC URL is malformed") from None
        self._client = httpx2.Client(
            headers=_HEADERS,
            timeout=httpx2.Timeout(settings.timeout_seconds, pool=None),
            limits=httpx2.Limits(max_connections=settings.num_threads),
            follow_redirects=False,
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def post(self, body: bytes) -> bytes:
        """The body of the answer. Raises Trouble, Refused, or MachineError where all is lost."""
        import httpx2

        try:
            with self._client.stream("POST", self._url, content=body) as response:
                content = self._content(response)
        except httpx2.ReadTimeout:
            raise Trouble(self._late(), may_be_size=True) from None
        except httpx2.TimeoutException:
            raise Trouble("no connection in time") from None
        except httpx2.DecodingError:
            raise Trouble("the body cannot be decompressed", may_be_size=True) from None
        except httpx2.HTTPError as error:
            raise self._broken(str(error) or type(error).__name__) from None
        return self._judged(response, content)

    def _content(self, response: httpx2.Response) -> bytes:
        deadline = time.monotonic() + _DEADLINE_TIMEOUTS * self._settings.timeout_seconds
        content = bytearray()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > self._settings.max_response_bytes:
                limit = self._settings.max_response_bytes >> 20
                raise Refused(413, f"the answer is larger than {limit:,} MiB")
            if time.monotonic() > deadline:
                raise Trouble(self._late(), may_be_size=True)
        return bytes(content)

    def _late(self) -> str:
        return f"no whole answer within {self._settings.timeout_seconds:g} s"

    def _broken(self, reason: str) -> Trouble:
        reason = self._endpoint.scrub(shown(reason))
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            raise MachineError(
                f"{self._endpoint.host}: its certificate cannot be verified: {reason}",
                hint="SSL_CERT_FILE names the certificates of your own authority",
            )
        return Trouble(f"the connection failed: {reason}")

    def _judged(self, response: httpx2.Response, content: bytes) -> bytes:
        """What the status makes of the answer."""
        status = response.status_code
        if status == HTTPStatus.OK:
            return content
        if response.is_redirect:
            raise self._redirected(response.headers.get("location", ""))
        phrase = f"{status} {response.reason_phrase}".strip()
        is_error = content.lstrip()[:1] in (b"{", b"[") and b'"error"' in content
        if is_error and status not in _MEANT_FOR_US:
            return content  # some say in JSON-RPC what they mean, with a status beside it
        if status in _BUSY or status > HTTPStatus.GATEWAY_TIMEOUT:
            raise Trouble(
                phrase,
                may_be_size=status in _ABOUT_SIZE,
                is_limit=status == HTTPStatus.TOO_MANY_REQUESTS,
                retry_after_seconds=retry_after_seconds(response.headers.get("retry-after")),
            )
        raise Refused(status, ": ".join(filter(None, (phrase, self._said(content)))))

    def _said(self, content: bytes) -> str:
        """What the server says to it, where that is a line of text or JSON and no page."""
        text = content[:_SAID_BYTES].decode(errors="replace")
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            text = str(json.loads(content)["error"]["message"])
        return "" if text.lstrip().startswith("<") else self._endpoint.scrub(shown(text))

    def _redirected(self, location: str) -> MachineError:
        try:
            target = urlsplit(location).netloc.rpartition("@")[2] or self._endpoint.host
        except ValueError:
            target = "another place"
        return MachineError(
            f"{self._endpoint.host} redirects to {target}; that is not followed, for it would "
            "carry the key there",
            hint="give the final URL, with https:// if that is all that differs",
        )
