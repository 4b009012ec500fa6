import pytest
import torch

import sampler.kv
from sampler.kv import KV, PAGE, LayerShape

CPU = torch.device("cpu")
# Two kinds of layers, as in the real model: many narrow heads, and one wide head.
NARROW = LayerShape(heads=2, head_dim=4, dtype=torch.float32, device=CPU)
WIDE = LayerShape(heads=1, head_dim=8, dtype=torch.float32, device=CPU)


def text_of(length: int) -> KV:
    """Return a text of the tokens 0, 1, ... whose keys and values are random."""
    kv = KV([NARROW, WIDE])
    kv.reserve(length)
    generator = torch.Generator().manual_seed(length)
    for buffer in [*kv.keys, *kv.values]:
        written = buffer[:, :, :length]
        written.copy_(torch.randn(written.shape, generator=generator))
    kv.extend(range(length), torch.full((3,), 1.0))
    return kv


def written(kv: KV, length: int) -> list[torch.Tensor]:
    return [buffer[:, :, :length].clone() for buffer in [*kv.keys, *kv.values]]


def pointers(kv: KV) -> list[int]:
    return [buffer.data_ptr() for buffer in [*kv.keys, *kv.values]]


def test_a_new_text_is_empty_and_holds_one_page_of_each_layer():
    kv = KV([NARROW, WIDE])
    assert (kv.length, kv.ids, kv.last, kv.capacity) == (0, [], None, PAGE)
    assert [tuple(k.shape) for k in kv.keys] == [(1, 2, PAGE, 4), (1, 1, PAGE, 8)]
    assert [tuple(v.shape) for v in kv.values] == [(1, 2, PAGE, 4), (1, 1, PAGE, 8)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("capacity", [1, PAGE, 3 * PAGE])
def test_its_bytes_are_those_of_its_buffers(dtype, capacity):
    kv = KV([LayerShape(2, 4, dtype, CPU), LayerShape(1, 8, dtype, CPU)], capacity)
    assert kv.nbytes == sum(buffer.nbytes for buffer in [*kv.keys, *kv.values])
    assert {buffer.dtype for buffer in [*kv.keys, *kv.values]} == {dtype}


@pytest.mark.parametrize(
    ("length", "room", "capacity"),
    [
        (0, 0, PAGE),
        (0, PAGE, PAGE),
        (0, PAGE + 1, 2 * PAGE),
        (PAGE - 1, 1, PAGE),
        (PAGE - 1, 2, 2 * PAGE),
        (PAGE, 0, PAGE),
        (PAGE, 1, 2 * PAGE),
        (300, 5 * PAGE, 7 * PAGE),
    ],
)
def test_room_is_made_in_whole_pages_and_nothing_written_is_lost(length, room, capacity):
    kv = text_of(length)
    before = written(kv, length)
    kv.reserve(room)
    assert kv.capacity == capacity
    assert kv.ids == list(range(length))
    assert all(map(torch.equal, written(kv, length), before))


def test_room_that_is_there_costs_no_copy():
    kv = text_of(100)
    before = pointers(kv)
    for room in (0, 1, PAGE - 100):
        kv.reserve(room)
        assert pointers(kv) == before


@pytest.mark.parametrize("allocations", range(4))
def test_a_text_stays_sound_where_there_is_no_memory_to_make_room(monkeypatch, allocations):
    kv = text_of(100)
    before, left = written(kv, 100), [None] * allocations

    def empty(layer, capacity):
        if not left:
            raise torch.OutOfMemoryError
        left.pop()
        return new_buffer(layer, capacity)

    new_buffer = sampler.kv._empty
    with monkeypatch.context() as patch, pytest.raises(torch.OutOfMemoryError):
        patch.setattr(sampler.kv, "_empty", empty)
        kv.reserve(PAGE)
    assert kv.ids == list(range(100))
    assert all(map(torch.equal, written(kv, 100), before))
    kv.reserve(PAGE)
    assert {buffer.shape[2] for buffer in [*kv.keys, *kv.values]} == {2 * PAGE}
    assert all(map(torch.equal, written(kv, 100), before))


def test_room_never_holds_what_is_not_a_number():
    kv = text_of(PAGE)
    kv.reserve(3 * PAGE)
    assert all(bool(buffer.isfinite().all()) for buffer in [*kv.keys, *kv.values])


def test_a_cut_forgets_the_end_in_place():
    kv = text_of(100)
    buffers, before = pointers(kv), written(kv, 40)
    kv.crop(40)
    assert (kv.length, kv.ids, kv.last) == (40, list(range(40)), None)
    assert pointers(kv) == buffers
    assert all(map(torch.equal, written(kv, 40), before))


@pytest.mark.parametrize("length", [100, 101, 5000])
def test_a_cut_behind_the_end_changes_nothing(length):
    kv = text_of(100)
    last = kv.last
    kv.crop(length)
    assert kv.ids == list(range(100))
    assert kv.last is last


def test_a_text_is_extended_by_ids_and_the_state_at_its_end():
    kv = text_of(3)
    last = torch.zeros(3)
    kv.extend([7, 8], last)
    assert kv.ids == [0, 1, 2, 7, 8]
    assert kv.last is last


@pytest.mark.parametrize("length", [0, 1, PAGE - 1, PAGE, PAGE + 1, 300])
def test_a_copy_has_the_beginning_and_room_of_its_own(length):
    kv = text_of(300)
    copy = kv.copy(length)
    assert (copy.ids, copy.last) == (list(range(length)), None)
    assert all(map(torch.equal, written(copy, length), written(kv, length)))
    assert not set(pointers(copy)) & set(pointers(kv))
    assert copy.capacity == max(PAGE, -(-length // PAGE) * PAGE)


def test_a_copy_and_its_original_do_not_change_each_other():
    kv = text_of(50)
    copy = kv.copy(30)
    kept = written(kv, 50)
    for buffer in [*copy.keys, *copy.values]:
        buffer.fill_(9.0)
    copy.extend([77], torch.zeros(3))
    copy.crop(3)
    assert kv.ids == list(range(50))
    assert all(map(torch.equal, written(kv, 50), kept))
    kv.crop(1)
    assert copy.ids == [0, 1, 2]
