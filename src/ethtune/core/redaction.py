"""Text in, the same text without secrets out: before anything is shown, logged or stored."""

from __future__ import annotations

import re

# as long as real ones are: a folder may be called hf_datasets
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{30,}|\b(?:sk|gh[pousr]|xox[abp])[-_][A-Za-z0-9_-]{30,}")
_USER_IN_URL = re.compile(r"(?<=://)[^/\s@]+(?=@)")
# hosted RPC endpoints carry their key as the last part of the path
_KEY_IN_PATH = re.compile(r"(?<=/)(?=[A-Za-z0-9_-]*\d)[A-Za-z0-9_-]{24,}(?=$|[\s/?#'\"])")
_URL = re.compile(r"\b(?:https?|wss?)://\S+")
_PARAMETER = re.compile(r"(?i)((?:api[-_]?key|token|secret|password)=)[^&\s]+")


def redact(text: str) -> str:
    """Replace hub tokens, credentials in URLs and key parameters by ``[secret]``."""
    text = _TOKEN.sub("[secret]", text)
    text = _USER_IN_URL.sub("[secret]", text)
    text = _PARAMETER.sub(r"\1[secret]", text)
    return _URL.sub(lambda match: _KEY_IN_PATH.sub("[secret]", match[0]), text)
