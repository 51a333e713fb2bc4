import pytest

from ethtune.core.redaction import redact

HUB, OPENAI = "hf_" + "aB3" * 11, "sk-" + "aB3" * 11
KEY = "a1B2" * 8


@pytest.mark.parametrize(
    "text",
    [
        HUB,
        OPENAI,
        f"token {HUB}, again {HUB}",
        f"ghp_{KEY}",
        f"xoxb-{KEY}",
        f"https://user:{KEY}@host/path",
        f"https://{KEY}@host/path",
        f"https://mainnet.infura.io/v3/{KEY}",
        f"wss://eth-mainnet.g.alchemy.com/v2/{KEY}?x=1",
        f"https://host/path?apikey={KEY}&page=2",
        f"API_KEY={KEY}",
        f"--set x.password={KEY}",
        f"ethtune predict run --input 'https://rpc.ankr.com/eth/{KEY}'",
    ],
)
def test_secrets_go(text):
    hidden = redact(text)
    assert "[secret]" in hidden
    for secret in (HUB, OPENAI, KEY):
        assert secret not in hidden
    assert redact(hidden) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x" + "ab" * 32,
        "https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
        "ethtune train --set data.max_seq_length=2048",
        "runs/20261122-120000/checkpoint-500",
        "max_new_tokens 256, tokens=3 rows",
        "hf_hub",
        "/data/hf_datasets1/model",
        "/home/me/sk-learn-models-of-mine-1",
    ],
)
def test_everything_else_stays(text):
    assert redact(text) == text


def test_what_is_around_a_secret_stays():
    assert redact(f"https://me:{KEY}@host/x?token={KEY}&page=2") == (
        "https://[secret]@host/x?token=[secret]&page=2"
    )
