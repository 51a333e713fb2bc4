"""What a base model is made of: name or folder in, dimensions out, no weights and no torch.

The built-in catalog answers offline; a local folder is read from its config.json. Only dense
decoders of the Llama kind are described: for anything else an estimate would be a guess.
"""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ethtune.core.errors import ConfigError

# The one base model that can be had without the hub.
EMBEDDED_ALIAS = "smollm2-135m"
FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "gemma2", "phi3")


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Dimensions of a decoder; ``family`` is transformers' model_type."""

    family: str
    hidden_size: int
    num_layers: int
    intermediate_size: int
    vocab_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    tie_embeddings: bool

    @property
    def query_size(self) -> int:
        """Width of all query heads together."""
        return self.num_heads * self.head_dim

    @property
    def key_value_size(self) -> int:
        """Width of all key (or value) heads together."""
        return self.num_kv_heads * self.head_dim

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """Linear layers of one block by module name: (inputs, outputs)."""
        hidden, inner = self.hidden_size, self.intermediate_size
        query, key = self.query_size, self.key_value_size
        closing = {"o_proj": (query, hidden), "down_proj": (inner, hidden)}
        if self.family == "phi3":
            fused = {"qkv_proj": (hidden, query + 2 * key), "gate_up_proj": (hidden, 2 * inner)}
            return fused | closing
        split = {"q_proj": (hidden, query), "k_proj": (hidden, key), "v_proj": (hidden, key)}
        return split | {"gate_proj": (hidden, inner), "up_proj": (hidden, inner)} | closing

    @property
    def num_linear_parameters(self) -> int:
        """Weights that are quantised: all linear layers but the head."""
        return self.num_layers * sum(i * o for i, o in self.linears.values())

    @property
    def num_embedding_parameters(self) -> int:
        """Token embeddings, and the head where it is a tensor of its own."""
        return self.vocab_size * self.hidden_size * (1 if self.tie_embeddings else 2)

    @property
    def num_small_parameters(self) -> int:
        """Norms and biases."""
        norms = 4 if self.family == "gemma2" else 2
        per_layer = norms * self.hidden_size
        if self.family == "qwen2":
            per_layer += self.query_size + 2 * self.key_value_size
        if self.family == "qwen3":
            per_layer += 2 * self.head_dim
        return self.num_layers * per_layer + self.hidden_size

    @property
    def num_parameters(self) -> int:
        """All of them; tied embeddings count once."""
        return (
            self.num_linear_parameters + self.num_embedding_parameters + self.num_small_parameters
        )


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A base model one can name. ``gated``: its licence has to be accepted on the hub first."""

    alias: str
    hub_id: str
    licence: str
    gated: bool
    download_bytes: int
    shape: ModelShape


@functools.cache
def catalog() -> tuple[BaseModel, ...]:
    """The built-in models, in families, small ones first."""
    file = resources.files("ethtune.assets") / "models" / "catalog.json"
    rows = json.loads(file.read_text(encoding="utf-8"))["models"]
    return tuple(
        BaseModel(
            alias=row["alias"],
            hub_id=row["hub_id"],
            licence=row["licence"],
            gated=row["gated"],
            download_bytes=row["download_bytes"],
            shape=ModelShape(**row["shape"]),
        )
        for row in rows
    )


def find_model(name: str) -> BaseModel | None:
    """The catalog's model of that alias or hub id, whatever the case."""
    wanted = name.casefold()
    for model in catalog():
        if wanted in (model.alias.casefold(), model.hub_id.casefold()):
            return model
    return None


def shape_of(base_model: str) -> ModelShape:
    """Shape of an alias, a hub id of the catalog, or a local folder. Raises ConfigError."""
    folder = Path(base_model).expanduser()
    if folder.is_dir():
        return _shape_of_folder(folder)
    model = find_model(base_model)
    if model is None:
        raise ConfigError(
            f'no dimensions known for the model "{base_model}"', hint=_near(base_model)
        )
    return model.shape


def shape_from_config(plain: Mapping[str, Any], *, place: str) -> ModelShape:
    """Shape from the contents of a config.json. Raises ConfigError naming ``place``."""
    family = plain.get("model_type")
    if family not in FAMILIES:
        raise ConfigError(
            f"{place}: model_type is {family!r}, whose memory cannot be estimated",
            hint=f"known are {', '.join(FAMILIES)}",
        )
    try:
        heads, hidden = int(plain["num_attention_heads"]), int(plain["hidden_size"])
        return ModelShape(
            family=family,
            hidden_size=hidden,
            num_layers=int(plain["num_hidden_layers"]),
            intermediate_size=int(plain["intermediate_size"]),
            vocab_size=int(plain["vocab_size"]),
            num_heads=heads,
            num_kv_heads=int(plain.get("num_key_value_heads") or heads),
            head_dim=int(plain.get("head_dim") or hidden // heads),
            # transformers ties by default; of these families only Gemma relies on the default
            tie_embeddings=bool(plain.get("tie_word_embeddings", family == "gemma2")),
        )
    except KeyError as error:
        raise ConfigError(f"{place}: key {error} is missing") from None
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{place}: a dimension is no number: {error}") from None


def _shape_of_folder(folder: Path) -> ModelShape:
    place = folder / "config.json"
    try:
        plain = json.loads(place.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{folder} holds no config.json", hint="name a folder in transformers format"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{place} cannot be read: {error}") from None
    if not isinstance(plain, dict):
        raise ConfigError(f"{place}: expected a JSON object")
    return shape_from_config(plain, place=str(place))


def _near(name: str) -> str:
    names = [spelling for model in catalog() for spelling in (model.alias, model.hub_id)]
    folded = {spelling.casefold(): spelling for spelling in names}
    near = difflib.get_close_matches(name.casefold(), list(folded), n=3, cutoff=0.5)
    if near:
        return "the nearest in the catalog: " + ", ".join(folded[item] for item in near)
    aliases = ", ".join(model.alias for model in catalog())
    return f"name a downloaded folder, or one of {aliases}"
