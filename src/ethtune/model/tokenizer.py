"""Prompts and completions as token ids, through the base model's own chat template.

    <|im_start|>user⏎ instruction ⏎ input <|im_end|>⏎ <|im_start|>assistant⏎│completion <|im_end|>
    └───────────────────────── prompt, not learned ─────────────────────────┴─ learned, with end ─┘

Prompt and completion are tokenised apart, so the border is always a token border, in training as
in generation. The end is the id that generation stops on. Names and texts in a transaction are
anybody's to choose: a special token spelled out in one stays text.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from ethtune.core.errors import ConfigError, MachineError
from ethtune.model.basemodels import BaseModel

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_FALLBACK_PROMPT = "### Instruction:\n{prompt}\n\n### Response:\n"


class PromptTokenizer:
    """Text to ids for one base model.

    ``template`` is "chat" where the model has a chat template, "plain" otherwise. ``stops_itself``
    is False for a chat template that ends an answer with no special token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        if tokenizer.eos_token_id is None:
            raise ConfigError("the base model's tokenizer has no end token: it could never stop")
        self.tokenizer = tokenizer
        self.template = "chat" if tokenizer.chat_template else "plain"
        self._special = re.compile("|".join(map(re.escape, _special_words(tokenizer))))
        self._opening = self._without_persona()
        end_id = self._end_of_turn()
        self.stops_itself = end_id is not None
        self.end_id = int(tokenizer.eos_token_id) if end_id is None else end_id
        begin = tokenizer.bos_token_id
        is_written = self.template == "plain" and getattr(tokenizer, "add_bos_token", False)
        self._begin = [begin] if is_written and begin is not None else []

    def prompt_text(self, prompt: str) -> str:
        """The whole text before the completion."""
        return self._turns_text([("user", prompt)])

    def encode_prompt(self, prompt: str) -> list[int]:
        """Ids up to where the completion begins. A template writes its own begin token."""
        return [*self._begin, *self._ids(self.prompt_text(prompt))]

    def encode_completion(self, completion: str) -> list[int]:
        """Ids of the completion and the end token."""
        return [*self._ids(completion, split_special_tokens=True), self.end_id]

    def encode_rows(
        self, prompts: Sequence[str], completions: Sequence[str]
    ) -> list[tuple[list[int], list[int]]]:
        """Ids of each prompt and of its completion, as one by one, on all cores."""
        questions = self._many_ids([self.prompt_text(prompt) for prompt in prompts])
        answers = self._many_ids(list(completions), split_special_tokens=True)
        return [
            ([*self._begin, *question], [*answer, self.end_id])
            for question, answer in zip(questions, answers, strict=True)
        ]

    def count_tokens(
        self, prompts: Sequence[Sequence[tuple[str, str]]], completions: Sequence[str]
    ) -> list[tuple[int, int]]:
        """How many ids each prompt and each completion has, as they would be encoded.

        A prompt is turns of role and content; without any it has no ids. Many at once are counted
        several times faster than one by one.
        """
        questions = self._many_ids([self._turns_text(turns) if turns else "" for turns in prompts])
        answers = self._many_ids(list(completions), split_special_tokens=True)
        return [
            (len(question) + len(self._begin) if turns else 0, len(answer) + 1)
            for turns, question, answer in zip(prompts, questions, answers, strict=True)
        ]

    def decode(self, ids: list[int]) -> str:
        """Text of a completion, its special tokens left out."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))

    def _turns_text(self, turns: Sequence[tuple[str, str]]) -> str:
        texts = [
            self._special.sub(lambda match: f"{match[0][:1]} {match[0][1:]}", content)
            for _, content in turns
        ]
        if self.template == "plain":
            return _FALLBACK_PROMPT.format(prompt="\n".join(texts))
        opening = [] if turns[0][0] == "system" else self._opening
        spoken = [
            {"role": role, "content": text} for (role, _), text in zip(turns, texts, strict=True)
        ]
        try:
            return self._render([*opening, *spoken])
        except TemplateError:  # a role that the model does not know
            return self._render([*self._opening, {"role": "user", "content": "\n".join(texts)}])

    def _render(self, turns: list[dict[str, str]], *, is_question: bool = True) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=is_question
            )
        )

    def _without_persona(self) -> list[dict[str, str]]:
        """An empty system turn where the template would else put in words of its own.

        "You are a helpful assistant named …" is no part of the task and costs its tokens in every
        row. Templates without a system role refuse the turn or render it longer.
        """
        if self.template == "plain":
            return []
        question = {"role": "user", "content": "q"}
        silent = [{"role": "system", "content": ""}]
        try:
            is_shorter = len(self._render([*silent, question])) < len(self._render([question]))
        except TemplateError:
            return []
        return silent if is_shorter else []

    def _ids(self, text: str, **options: bool) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False, **options)["input_ids"])

    def _many_ids(self, texts: list[str], **options: bool) -> list[list[int]]:
        if not texts:
            return []
        with _all_cores():
            encoded = self.tokenizer(
                texts, add_special_tokens=False, return_attention_mask=False, **options
            )
        return list(encoded["input_ids"])

    def _end_of_turn(self) -> int | None:
        """The token with which an assistant's turn ends: the template's own, else eos.

        Chat models often stop on a turn token that is not their eos; learning the other one is how
        a model comes to never stop. None where the template writes nothing to stop on.
        """
        if self.template == "plain":
            return int(self.tokenizer.eos_token_id)
        mark = "\N{BLACK SQUARE}answer"
        turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": mark}]
        text = self._render([*self._opening, *turns], is_question=False)
        tail = self._ids(text.rpartition(mark)[2])
        special = set(self.tokenizer.all_special_ids) | set(self.tokenizer.added_tokens_decoder)
        return next((token for token in tail if token in special), None)


@contextlib.contextmanager
def _all_cores() -> Iterator[None]:
    """Let the tokenizer use threads now, and not in processes that are forked later."""
    before = os.environ.get("TOKENIZERS_PARALLELISM", "false")
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    try:
        yield
    finally:
        os.environ["TOKENIZERS_PARALLELISM"] = before


def _special_words(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    added = (token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
    return sorted({*added, *tokenizer.all_special_tokens}, key=len, reverse=True)


def load_tokenizer(base: BaseModel, *, cache_dir: str | None, trust_remote_code: bool) -> Any:
    """The base model's tokenizer. Raises MachineError where it cannot be loaded."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(
            base.source,
            revision=base.revision,
            cache_dir=cache_dir,
            trust_remote_code=trust_remote_code,
        )
    except (OSError, ValueError, ImportError) as error:
        raise unavailable(base, error) from error


def unavailable(base: BaseModel, error: Exception) -> MachineError:
    """What the hub or the loader said about ``base``, and what to do about it."""
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    lowered = str(error).lower()
    if "gated" in lowered or "401" in lowered or "403" in lowered:
        hint = f"accept the licence on the page of {base.name}, then run: hf auth login"
    elif "trust_remote_code" in lowered:
        hint = "read the code, then: --set model.trust_remote_code=true"
    elif base.is_local:
        hint = "the folder must hold config.json, the tokenizer and *.safetensors"
    else:
        hint = "check the name and the network; --base-model smollm2-135m works offline"
    return MachineError(
        f"base model {base.name} ({base.origin}) cannot be loaded: {said}", hint=hint
    )
