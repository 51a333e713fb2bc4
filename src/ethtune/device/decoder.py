"""What a decoder is made of: the contents of a config.json in, dimensions out, no torch.

A family is what transformers calls ``model_type``. A family that is not described here is refused
by name: its layers may hold tensors that nobody counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ethtune.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Family:
    """How the layers of one model_type differ from Llama's."""

    norms: int = 2
    head_norms: bool = False  # queries and keys are normalised, head by head
    query_bias: bool = False
    has_fused_linears: bool = False  # one matrix for q, k, v and one for gate and up
    is_mixture: bool = False
    scales_embeddings: bool = False
    changes_logits: bool = False  # capped or scaled behind the head
    caps_scores: bool = False  # which only eager attention does
    ties_by_default: bool = False


FAMILIES: dict[str, Family] = {
    "llama": Family(),
    "mistral": Family(),
    "ministral": Family(),
    "qwen2": Family(query_bias=True),
    "qwen3": Family(head_norms=True),
    "seed_oss": Family(query_bias=True),
    "gemma": Family(scales_embeddings=True, ties_by_default=True),
    "gemma2": Family(
        norms=4,
        scales_embeddings=True,
        changes_logits=True,
        caps_scores=True,
        ties_by_default=True,
    ),
    "gemma3_text": Family(norms=4, head_norms=True, scales_embeddings=True, ties_by_default=True),
    "phi3": Family(has_fused_linears=True),
    "granite": Family(scales_embeddings=True, changes_logits=True),
    "mixtral": Family(is_mixture=True),
    "qwen3_moe": Family(head_norms=True, is_mixture=True),
}
# Nobody's: such a number would only make the estimate run for hours.
_LARGEST = {"num_layers": 1000, "num_heads": 10_000, "num_kv_heads": 10_000}
# Where a family writes a dimension under another name than Llama's.
_RENAMED = {
    "mixtral": {"num_experts": "num_local_experts"},
    "qwen3_moe": {"intermediate_size": "moe_intermediate_size"},
}


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Dimensions of a decoder. In a mixture ``intermediate_size`` is that of one expert."""

    family: str
    hidden_size: int
    num_layers: int
    intermediate_size: int
    vocab_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    tie_embeddings: bool
    num_experts: int = 0
    experts_per_token: int = 0
    sliding_window: int | None = None

    @property
    def kind(self) -> Family:
        """What its family does otherwise."""
        return FAMILIES[self.family]

    @property
    def query_size(self) -> int:
        """Width of all query heads together."""
        return self.num_heads * self.head_dim

    @property
    def key_value_size(self) -> int:
        """Width of all key (or value) heads together."""
        return self.num_kv_heads * self.head_dim

    @property
    def attention_linears(self) -> dict[str, tuple[int, int]]:
        """Linear layers of one attention block by module name: (inputs, outputs)."""
        hidden, query, key = self.hidden_size, self.query_size, self.key_value_size
        if self.kind.has_fused_linears:
            return {"qkv_proj": (hidden, query + 2 * key), "o_proj": (query, hidden)}
        split = {"q_proj": (hidden, query), "k_proj": (hidden, key), "v_proj": (hidden, key)}
        return split | {"o_proj": (query, hidden)}

    @property
    def mlp_linears(self) -> dict[str, tuple[int, int]]:
        """Linear layers of one MLP, or of one expert, in the order they run."""
        hidden, inner = self.hidden_size, self.intermediate_size
        if self.kind.has_fused_linears:
            return {"gate_up_proj": (hidden, 2 * inner), "down_proj": (inner, hidden)}
        names = ("w1", "w3", "w2") if self.family == "mixtral" else (
            "gate_proj", "up_proj", "down_proj")  # fmt: skip
        return dict(zip(names, ((hidden, inner), (hidden, inner), (inner, hidden)), strict=True))

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """All linear layers of a block that an adapter may sit on."""
        return self.attention_linears | self.mlp_linears

    def copies(self, name: str) -> int:
        """How often a linear layer occurs in a block: once for each expert."""
        return max(self.num_experts, 1) if name in self.mlp_linears else 1

    @property
    def num_linear_parameters(self) -> int:
        """Weights that are quantised: all linear layers but the head."""
        per_layer = sum(i * o * self.copies(name) for name, (i, o) in self.linears.items())
        router = self.num_experts * self.hidden_size
        return self.num_layers * (per_layer + router)

    @property
    def num_expert_parameters(self) -> int:
        """Weights of all experts; 0 in a model that is no mixture."""
        expert = sum(inputs * outputs for inputs, outputs in self.mlp_linears.values())
        return self.num_layers * self.num_experts * expert

    @property
    def num_active_parameters(self) -> int:
        """Linear weights that a token meets."""
        idle = max(self.num_experts - self.experts_per_token, 0)
        expert = sum(i * o for i, o in self.mlp_linears.values())
        return self.num_linear_parameters - self.num_layers * idle * expert

    @property
    def num_embedding_parameters(self) -> int:
        """Token embeddings, and the head where it is a tensor of its own."""
        return self.vocab_size * self.hidden_size * (1 if self.tie_embeddings else 2)

    @property
    def num_small_parameters(self) -> int:
        """Norms and biases."""
        kind, hidden = self.kind, self.hidden_size
        per_layer = kind.norms * hidden
        if kind.query_bias:
            per_layer += self.query_size + 2 * self.key_value_size
        if kind.head_norms:
            per_layer += 2 * self.head_dim
        return self.num_layers * per_layer + hidden

    @property
    def num_parameters(self) -> int:
        """All of them; tied embeddings count once."""
        return (
            self.num_linear_parameters + self.num_embedding_parameters + self.num_small_parameters
        )


def shape_from_config(plain: Mapping[str, Any], *, place: str) -> ModelShape:
    """Shape from the contents of a config.json. Raises ConfigError naming ``place``."""
    if isinstance(plain.get("text_config"), Mapping):  # a model that also sees
        plain = plain["text_config"]
    family = plain.get("model_type")
    if family not in FAMILIES:
        raise ConfigError(
            f"{place}: model_type is {family!r}, whose memory cannot be estimated",
            hint=f"known are {', '.join(FAMILIES)}",
        )
    try:
        shape = _read(plain, family)
    except KeyError as error:
        raise ConfigError(f"{place}: key {error} is missing") from None
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{place}: a dimension is no number that can be: {error}") from None
    _check(shape, place)
    return shape


def config_of_shape(shape: ModelShape) -> dict[str, Any]:
    """A config.json's contents for a model of which only the dimensions are known."""
    plain = {
        "model_type": shape.family,
        "hidden_size": shape.hidden_size,
        "num_hidden_layers": shape.num_layers,
        "intermediate_size": shape.intermediate_size,
        "vocab_size": shape.vocab_size,
        "num_attention_heads": shape.num_heads,
        "num_key_value_heads": shape.num_kv_heads,
        "head_dim": shape.head_dim,
        "tie_word_embeddings": shape.tie_embeddings,
        "sliding_window": shape.sliding_window,
    }
    if shape.num_experts:
        plain |= {"num_experts": shape.num_experts, "num_experts_per_tok": shape.experts_per_token}
    renamed = _RENAMED.get(shape.family, {})
    return {renamed.get(key, key): value for key, value in plain.items() if value is not None}


def _read(plain: Mapping[str, Any], family: str) -> ModelShape:
    renamed, kind = _RENAMED.get(family, {}), FAMILIES[family]

    def number(key: str, default: int | None = None) -> int:
        written = plain.get(renamed.get(key, key))
        if written is None and default is not None:
            return default
        written = plain[renamed.get(key, key)]
        if isinstance(written, bool) or not isinstance(written, int):
            raise ValueError(f"{key} is {written!r}")
        return written

    heads, hidden = number("num_attention_heads"), number("hidden_size")
    if not plain.get("head_dim") and heads and hidden % heads:
        raise ValueError(f"{heads} heads do not divide hidden_size {hidden}")
    window = plain.get("sliding_window") if plain.get("use_sliding_window", True) else None
    return ModelShape(
        family=family,
        hidden_size=hidden,
        num_layers=number("num_hidden_layers"),
        intermediate_size=number("intermediate_size"),
        vocab_size=number("vocab_size"),
        num_heads=heads,
        num_kv_heads=number("num_key_value_heads", heads),
        head_dim=number("head_dim", hidden // heads if heads else 0),
        tie_embeddings=bool(plain.get("tie_word_embeddings", kind.ties_by_default)),
        num_experts=number("num_experts") if kind.is_mixture else 0,
        experts_per_token=number("num_experts_per_tok") if kind.is_mixture else 0,
        sliding_window=int(window) if window else None,
    )


def _check(shape: ModelShape, place: str) -> None:
    """Dimensions that no decoder has."""
    for key in ("hidden_size", "num_layers", "intermediate_size", "vocab_size", "num_heads",
                "num_kv_heads", "head_dim"):  # fmt: skip
        if getattr(shape, key) < 1:
            raise ConfigError(f"{place}: {key} is {getattr(shape, key)}, expected 1 or more")
        if getattr(shape, key) > _LARGEST.get(key, 10_000_000):
            raise ConfigError(f"{place}: {key} is {getattr(shape, key)}, more than any model has")
    if shape.head_dim % 2:
        raise ConfigError(
            f"{place}: head_dim is {shape.head_dim}; rotary positions turn pairs of numbers"
        )
    if shape.num_heads % shape.num_kv_heads:
        raise ConfigError(
            f"{place}: {shape.num_kv_heads} key heads do not divide {shape.num_heads} query heads"
        )
    if shape.experts_per_token > shape.num_experts:
        raise ConfigError(
            f"{place}: a token goes to {shape.experts_per_token} of {shape.num_experts} experts"
        )
