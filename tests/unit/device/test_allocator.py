"""The allocator's rules on small tapes, and the tape's own bookkeeping."""

from hypothesis import given
from hypothesis import strategies as st

from ethtune.core.units import MIB
from ethtune.device.allocator import replay
from ethtune.device.tape import Tape


def reserved(*sizes, drop=(), then=()):
    tape = Tape()
    held = [tape.hold(size) for size in sizes]
    tape.drop(*(held[index] for index in drop))
    for size in then:
        tape.hold(size)
    return replay((), tape.events, steps=1).reserved_bytes


def test_small_blocks_share_segments_of_two_mib():
    assert reserved(*[MIB // 2] * 4) == 2 * MIB
    assert reserved(*[MIB // 2] * 5) == 4 * MIB


def test_large_blocks_share_segments_of_twenty_mib_and_the_largest_have_their_own():
    assert reserved(2 * MIB, 9 * MIB) == 20 * MIB
    assert reserved(11 * MIB) == 12 * MIB


def test_a_freed_block_is_split_and_its_neighbours_merge():
    assert reserved(40 * MIB, drop=[0], then=[15 * MIB, 25 * MIB]) == 40 * MIB
    assert reserved(40 * MIB, drop=[0], then=[41 * MIB]) == (40 + 42) * MIB


def test_a_hole_too_small_is_left():
    assert reserved(12 * MIB, 12 * MIB, drop=[0, 1], then=[24 * MIB]) == 48 * MIB


def test_the_second_step_finds_the_holes_of_the_first():
    tape = Tape()
    tape.drop(tape.hold(30 * MIB))
    assert replay([(-1, 5 * MIB)], tape.events, steps=3).reserved_bytes == (20 + 30) * MIB


def test_a_block_too_large_by_less_than_can_be_split_counts_whole():
    found = replay([(0, 12 * MIB), (0, 0)], [(1, 11 * MIB + MIB // 2)])
    assert found.allocated_bytes == 12 * MIB


def test_what_loading_left_may_end_in_a_step():
    assert replay([(0, 12 * MIB)], [(0, 0), (1, 12 * MIB)]).reserved_bytes == 12 * MIB


def test_a_tensor_lives_as_long_as_its_last_user():
    tape = Tape()
    handle = tape.hold(1000)
    tape.keep(handle)
    tape.drop(handle, None)
    tape.hold(512)
    tape.drop(handle)
    assert tape.peak_bytes == 1024 + 512
    assert tape.events[-1] == (handle, 0)


@given(st.lists(st.tuples(st.integers(1, 64 * MIB), st.booleans()), max_size=40))
def test_never_less_is_reserved_than_is_live(tensors):
    tape = Tape()
    for size, stays in tensors:
        handle = tape.hold(size)
        if not stays:
            tape.drop(handle)
    found = replay((), tape.events)
    assert found.reserved_bytes >= found.allocated_bytes >= tape.peak_bytes
