"""The URL of a node, which may hold a key: checked, and never shown but for its host."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from ethtune.core.errors import UsageError

_HINT = "give the URL of an Ethereum JSON-RPC endpoint, https://… or http://…"
_CONTROL_OR_SPACE = re.compile(r"[\x00-\x20\x7f-\xa0]").search
_SECRET_CHARACTERS_MIN = 4  # shorter parts of a path are names: v1, v3, rpc, eth


@dataclass(frozen=True, slots=True, repr=False)
class Endpoint:
    """Raises UsageError, which does not quote the URL, unless it is http or https with a host."""

    url: str

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            _ = parts.port  # raises for one that is no number
        except ValueError:
            raise UsageError("the RPC URL is malformed", hint=_HINT) from None
        if _CONTROL_OR_SPACE(self.url):
            raise UsageError("the RPC URL holds white space", hint=_HINT)
        if parts.scheme not in ("http", "https"):
            raise UsageError("the RPC URL does not begin with https:// or http://", hint=_HINT)
        if not parts.hostname:
            raise UsageError("the RPC URL names no host", hint=_HINT)

    @classmethod
    def of(cls, url: str | None) -> Endpoint:
        """The endpoint that flag or environment name; UsageError when neither does."""
        if not url:
            raise UsageError(
                "no node is named", hint="export ETHTUNE_RPC_URL=https://… with the URL of yours"
            )
        return cls(url.strip())

    def __repr__(self) -> str:
        return f"Endpoint({self.host!r})"

    @property
    def host(self) -> str:
        """Host, and port where the URL names one: all that may be shown."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    def scrub(self, text: str) -> str:
        """Foreign text without any part of the URL but its host; nodes do quote keys."""
        for secret in _secrets(self.url, urlsplit(self.url)):
            text = text.replace(secret, "[secret]")
        return text


def _secrets(url: str, parts: SplitResult) -> list[str]:
    """The longest first, so that none hides a part of another."""
    user = parts.netloc.rpartition("@")[0]
    found = {*parts.path.split("/"), *re.split(r"[&=]", parts.query), *user.split(":")}
    found |= {unquote(secret) for secret in found}
    secrets = {secret for secret in found if len(secret) >= _SECRET_CHARACTERS_MIN}
    return sorted(secrets | {url}, key=len, reverse=True)
