"""Tensors of a step in the order they come and go: allocations in, live bytes and the peak out.

A tensor is a handle with a count of its users, as in Python: the last one to drop it frees it.
"""

from __future__ import annotations

_ALIGNMENT = 512  # PyTorch rounds every block up to this


class Tape:
    """``events`` are (handle, bytes) for an allocation and (handle, 0) for its end."""

    __slots__ = ("_live_bytes", "_users", "events", "marks", "peak_bytes", "peak_event", "sizes")

    def __init__(self) -> None:
        """Nothing is live."""
        self.events: list[tuple[int, int]] = []
        self.sizes: list[int] = []
        self.marks: list[tuple[int, str]] = []
        self.peak_bytes = 0
        self.peak_event = 0
        self._users: list[int] = []
        self._live_bytes = 0

    def hold(self, size: float) -> int:
        """Allocate a tensor of so many bytes."""
        handle = len(self.sizes)
        rounded = -(-int(size) // _ALIGNMENT) * _ALIGNMENT
        self.sizes.append(rounded)
        self._users.append(1)
        if rounded:
            self.events.append((handle, rounded))
            self._live_bytes += rounded
            if self._live_bytes > self.peak_bytes:
                self.peak_bytes, self.peak_event = self._live_bytes, len(self.events)
        return handle

    def keep(self, handle: int) -> int:
        """One more user of a tensor."""
        self._users[handle] += 1
        return handle

    def drop(self, *handles: int | None) -> None:
        """One user less of each; None stands for a tensor that the case at hand does not have."""
        for handle in handles:
            if handle is None:
                continue
            self._users[handle] -= 1
            if not self._users[handle] and self.sizes[handle]:
                self.events.append((handle, 0))
                self._live_bytes -= self.sizes[handle]

    def mark(self, phase: str) -> None:
        """Name what has been recorded since the last mark."""
        self.marks.append((len(self.events), phase))

    def phase_of(self, event: int) -> str:
        """The phase that an event belongs to."""
        return next(phase for end, phase in self.marks if event <= end)

    def live_at_peak(self) -> dict[int, int]:
        """Handles that are live at the peak, and the event that made each."""
        live: dict[int, int] = {}
        for number, (handle, size) in enumerate(self.events[: self.peak_event], start=1):
            if size:
                live[handle] = number
            else:
                del live[handle]
        return live
