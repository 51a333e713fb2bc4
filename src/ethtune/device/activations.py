"""Bytes that come and go within a step: what the forward pass keeps, the loss, one layer backward.

Each function counts the tensors that PyTorch's autograd holds at one moment; where a number looks
odd, the comment names the tensor. ``memory`` adds them up and finds the peak.
"""

from __future__ import annotations

from ethtune.device.shapes import ModelShape
from ethtune.device.workload import Workload

# Positions whose logits the trainer's own loss holds at a time.
LOSS_CHUNK_TOKENS = 256


def kept_activation_bytes(shape: ModelShape, work: Workload) -> int:
    """What the forward pass leaves for the backward pass, all layers together."""
    masks = 0
    if work.attention == "eager":  # the additive mask is shared by all layers
        mask = 2 if work.stream_bytes == 2 else 4 + 2  # beside the 32-bit one the 16-bit original
        masks = work.micro_batch * work.seq_length**2 * mask
    if work.checkpointing:
        return shape.num_layers * work.tokens * shape.hidden_size * work.stream_bytes + masks
    attention, mlp = _saved_by_attention(shape, work), _saved_by_mlp(shape, work)
    return shape.num_layers * (attention + mlp + _saved_scores(shape, work)) + masks


def loss_bytes(shape: ModelShape, work: Workload) -> int:
    """From the last layer's output to the gradient of it."""
    vocab, hidden, tokens = shape.vocab_size, shape.hidden_size, work.tokens
    norm = tokens * (2 + 4) * hidden  # output, and the 32-bit copy that the last norm saves
    if work.loss == "plain":
        # log-probabilities, their gradient, and the gradient of the logits, all 32 bit
        return tokens * vocab * 12 + held_logit_bytes(shape, work) + norm
    chunk = LOSS_CHUNK_TOKENS * vocab
    if work.loss == "chunked_fp32_head":
        # a 32-bit copy of the head, under autocast one more of 16 bit, and a chunk's logits
        return vocab * hidden * (4 + 2) + 6 * chunk + norm
    labelled = min(tokens, int(tokens * work.labelled_fraction)) * hidden * work.compute_bytes
    # logits in compute precision, 32-bit copy, log-probabilities and gradient of one chunk;
    # the labelled positions' hidden states and their gradient
    return chunk * (work.compute_bytes + 12) + 2 * labelled + norm


def held_logit_bytes(shape: ModelShape, work: Workload) -> int:
    """A copy of the whole micro batch's logits, where one is kept."""
    if work.held_logits == "no" or work.loss != "plain":
        return 0
    return work.tokens * shape.vocab_size * (4 if work.upcast == "all" else work.compute_bytes)


def layer_bytes(shape: ModelShape, work: Workload) -> int:
    """Recomputing one layer and going backward through it."""
    stream, inner, tokens = work.stream_bytes, shape.intermediate_size, work.tokens
    dequantized = 2 * shape.hidden_size * inner if work.is_quantized else 0
    attention = _saved_by_attention(shape, work)
    mlp = _saved_by_mlp(shape, work)
    scores = _saved_scores(shape, work)
    gradient = tokens * shape.hidden_size * stream
    if not work.checkpointing:
        mlp, attention, scores = 0, 0, 0  # counted among the kept ones
    # gate, silu(gate), up are in ``mlp``; their gradients are three more
    at_swiglu = attention + scores + mlp + 3 * inner * tokens * stream
    # the gradient of the product of the two branches, and the weight in 16 bit
    at_down = attention + scores + mlp + 2 * inner * tokens * stream + dequantized
    # the MLP's tensors are gone; at the softmax: gradient of the probabilities, its product with
    # them, and the scores' gradient in the precision of the scores
    at_softmax = attention + scores
    if work.attention == "eager":
        at_softmax += _num_scores(shape, work) * (4 + 4 + (4 if stream == 4 else 0))
    held = held_logit_bytes(shape, work) if work.held_logits == "step" else 0
    return max(at_swiglu, at_down, at_softmax) + gradient + held


def _num_scores(shape: ModelShape, work: Workload) -> int:
    return work.micro_batch * shape.num_heads * work.seq_length**2


def _saved_scores(shape: ModelShape, work: Workload) -> int:
    """Eager attention saves its probabilities in 32 bit, and in 16 bit where it computes so."""
    if work.attention != "eager":
        return 0
    return _num_scores(shape, work) * (4 if work.stream_bytes == 4 else 6)


def _saved_by_attention(shape: ModelShape, work: Workload) -> int:
    """Tensors of one attention block that its backward needs, beside the layer's own input."""
    query, key, compute = shape.query_size, shape.key_value_size, work.compute_bytes
    per_token = _norm_copy_bytes(shape, work)
    per_token += compute * (query + 2 * key)  # after the projections
    per_token += compute * query + 4 * shape.num_heads  # output and log-sum-exp
    names = ("q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj")
    return work.tokens * (per_token + _adapter_input_bytes(shape, work, names))


def _saved_by_mlp(shape: ModelShape, work: Workload) -> int:
    """Tensors of one gated MLP that its backward needs."""
    per_token = _norm_copy_bytes(shape, work) + work.stream_bytes * shape.hidden_size  # its input
    per_token += 3 * work.stream_bytes * shape.intermediate_size
    names = ("gate_proj", "up_proj", "gate_up_proj", "down_proj")
    return work.tokens * (per_token + _adapter_input_bytes(shape, work, names))


def _norm_copy_bytes(shape: ModelShape, work: Workload) -> int:
    """A norm saves its input in 32 bit: a copy, unless the stream is 32 bit already."""
    return 4 * shape.hidden_size if work.stream_bytes == 2 else 0


def _adapter_input_bytes(shape: ModelShape, work: Workload, names: tuple[str, ...]) -> int:
    """What the adapters of a block save of their inputs, bytes a token.

    With dropout each keeps its own dropped copy and a mask of one byte. Without, those that read a
    norm's output share it, and o_proj's input is the attention output that is saved anyway.
    """
    widths = {name: shape.linears[name][0] for name in names if name in work.target_modules}
    if work.dropout:
        return sum(widths.values()) * (work.compute_bytes + 1)
    after_norm = shape.hidden_size if widths.keys() - {"o_proj", "down_proj"} else 0
    return (after_norm + widths.get("down_proj", 0)) * work.compute_bytes
