"""Training rows in, more rows of the same kind out: other accounts and amounts, fewer names.

    record ──rename, rescale──▶ record ──describe, decode──▶ label ──forget names──▶ row

A copy is decoded by the rules and grounded like any row. It is dropped where it would mean
something else than its origin. User's labels are taken over with the addresses renamed.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import product, takewhile
from random import Random
from typing import NamedTuple

from ethtune.chain.decode import decode
from ethtune.chain.describe import describe
from ethtune.chain.protocols import contracts
from ethtune.chain.sources import Rejected
from ethtune.core.described import DescribedTransaction
from ethtune.core.events import Emit, Progress
from ethtune.core.intent import Intent, parse_intent
from ethtune.dataset.examples import LabelSource, UngroundedLabel, make_example
from ethtune.dataset.forgetting import forget_names
from ethtune.dataset.renaming import new_addresses
from ethtune.dataset.rescaling import amounts_of, new_amounts
from ethtune.dataset.rewriting import Replacements, rename, rewrite
from ethtune.dataset.spool import Spool, SpooledRow, spooled
from ethtune.services.intake import unpacked
from ethtune.services.prepareoptions import COPIES_MAX, PrepareOptions
from ethtune.services.rowmaker import RowMaker
from ethtune.services.workers import in_order

_PROGRESS_ROWS = 250
_RESCALED_SHARE = 0.5
_FORGOTTEN_SHARE = 0.25

_TRAINING = """
SELECT number FROM placed JOIN rows USING (number) JOIN sources USING (number)
WHERE split = 'train' AND action = ? ORDER BY lot(?, id), id
"""
_SOURCE = "SELECT source FROM sources WHERE number = ?"
_SIZES = """
SELECT action, COUNT(*), SUM(split = 'train') FROM placed JOIN rows USING (number)
GROUP BY action ORDER BY action
"""


class Copy(NamedTuple):
    """One copy to be made: of which record, and the how manieth."""

    action: str
    source: bytes
    number: int

    def __str__(self) -> str:
        return f"copy {self.number} of a row of {self.action}"


def augment(spool: Spool, maker: RowMaker, options: PrepareOptions, events: Emit) -> Counter[str]:
    """Add copies to the training split; how many of each action.

    Each action gets ``options.augment`` copies a training row, and as many more as it lacks to
    ``options.min_per_class`` rows in all, at most ``COPIES_MAX`` of one row.
    """
    factor, least = options.augment, options.min_per_class or 0
    if factor is None:
        return Counter()
    wanted = {
        action: max(round(factor * num_train), least - num_rows)
        for action, num_rows, num_train in spool.query(_SIZES)
        if num_train
    }
    made: Counter[str] = Counter()

    def copies() -> Iterator[Copy]:
        for action, count in wanted.items():
            rounds = product(range(1, COPIES_MAX + 1), _training(spool, action, options.seed))
            for number, row in takewhile(lambda _: made[action] < count, rounds):  # noqa: B023
                yield Copy(action, spool.query(_SOURCE, row)[0][0], number)

    pairs = in_order(copies(), Augmenter(maker, options.seed), workers=options.workers)
    with closing(pairs):
        for copy, row in pairs:
            is_wanted = made[copy.action] < wanted[copy.action]
            if is_wanted and row is not None and spool.place(row):
                made[copy.action] += 1
                if made.total() % _PROGRESS_ROWS == 0:
                    events(Progress("augmenting", made.total(), sum(wanted.values())))
    return made


def _training(spool: Spool, action: str, seed: int) -> array[int]:
    """Numbers of the training rows of an action, in the order of a seeded draw."""
    found = spool.database.execute(_TRAINING, (action, seed))
    return array("Q", (number for (number,) in found))


@dataclass(frozen=True, slots=True)
class Augmenter:
    """Makes one copy; the same for the same record, number and seed."""

    maker: RowMaker
    seed: int

    def __call__(self, copy: Copy) -> SpooledRow | None:
        """The row; None where this draw gave none that means the same."""
        record = unpacked(copy.source)
        assert not isinstance(record, Rejected)
        transaction, label = self.maker.seen(record)
        rng = Random(f"{self.seed} {transaction.hash} {copy.number}")  # noqa: S311  # not secret
        origin = describe(transaction, self.maker.registry)
        replacements = Replacements(
            new_addresses(origin, rng, is_known=self._is_known),
            new_amounts(origin, rng) if label is None and rng.random() < _RESCALED_SHARE else {},
        )
        described = describe(rewrite(transaction, replacements), self.maker.registry)
        if not _adds_up(origin, described, replacements):
            return None
        if label is not None:
            intent = parse_intent(rename(label.to_json(), replacements.addresses))
        else:
            intent = decode(described)
            if _kind(intent) != _kind(decode(origin)):
                return None
        changes = [name for name in ("addresses", "amounts") if getattr(replacements, name)]
        if label is None and rng.random() < _FORGOTTEN_SHARE:
            forgetful = forget_names(described, rng)
            if forgetful != described and decode(forgetful) == intent:
                described = forgetful
                changes.append("names")
        return self._row(described, intent, copy.number, changes, "user" if label else "rules")

    def _row(
        self,
        described: DescribedTransaction,
        intent: Intent,
        number: int,
        changes: list[str],
        label_source: LabelSource,
    ) -> SpooledRow | None:
        transaction = described.transaction
        try:
            example = make_example(
                described, intent, view=self.maker.view, label_source=label_source
            )
        except UngroundedLabel:
            return None
        identity = blake2b(f"{transaction.hash} {number}".encode(), digest_size=32).hexdigest()
        meta = example.meta | {"augmented": changes, "of": transaction.hash}
        return spooled(replace(example, id="0x" + identity, meta=meta), sender=transaction.sender)

    def _is_known(self, address: str) -> bool:
        return self.maker.registry.get(address) is not None or address in contracts()


def _adds_up(
    origin: DescribedTransaction, described: DescribedTransaction, replacements: Replacements
) -> bool:
    """Whether every amount was replaced, and nothing else became one."""
    wanted = [replacements.amounts.get(amount, amount) for amount in amounts_of(origin)]
    return wanted == list(amounts_of(described))


def _kind(intent: Intent) -> tuple[object, ...]:
    moved = (len(intent.sent), len(intent.received), len(intent.approved))
    return intent.action, intent.protocol, intent.outcome, intent.via, intent.secondary, moved
