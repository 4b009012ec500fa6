import pytest

from dgemma_lsp.inflight import InFlight
from dgemma_lsp.wire import Block, Draft, Timings


def in_flight() -> InFlight:
    return InFlight(id="mine", session=1, wants_drafts=False, received=10.0)


def draft(block: int, step: int, text: str, stable: int, candidate: int = 0) -> Draft:
    return Draft(id="1:1", block=block, step=step, text=text, stable=stable, candidate=candidate)


def test_a_request_without_drafts_has_nothing_to_show_at_its_deadline() -> None:
    assert in_flight().stable_blocks() == []


def test_the_newest_draft_of_a_block_counts_and_only_its_stable_part() -> None:
    request = in_flight()
    request.drafted(draft(0, 1, "abcdef", 5))
    request.drafted(draft(0, 2, "abXYZ", 2))
    expected = Block(id="mine", block=0, text="ab", steps=2, stable=False)
    assert request.stable_blocks() == [expected]


def test_a_block_of_which_nothing_is_stable_is_left_out() -> None:
    request = in_flight()
    request.drafted(draft(0, 1, "abcdef", 0))
    assert request.stable_blocks() == []


def test_a_finished_block_is_not_shown_again() -> None:
    request = in_flight()
    request.drafted(draft(0, 3, "abc", 3))
    request.finished(Block(id="1:1", block=0, text="abc", steps=4))
    request.drafted(draft(1, 2, "def", 1))
    assert [(block.block, block.text) for block in request.stable_blocks()] == [(1, "d")]
    assert request.steps == 6


def test_candidates_are_kept_apart_and_shown_in_order() -> None:
    request = in_flight()
    for candidate in (2, 0, 1):
        request.drafted(draft(0, 1, "abc", candidate + 1, candidate))
    shown = [(block.candidate, block.text) for block in request.stable_blocks()]
    assert shown == [(0, "a"), (1, "ab"), (2, "abc")]


def test_a_step_of_several_candidates_counts_once() -> None:
    request = in_flight()
    for candidate, step in [(0, 1), (1, 1), (0, 2), (1, 2)]:
        request.drafted(draft(0, step, "abc", 0, candidate))
    assert request.steps == 2
    for candidate, steps in [(0, 3), (1, 5)]:
        request.finished(Block(id="1:1", block=0, text="abc", steps=steps, candidate=candidate))
    assert request.steps == 5


@pytest.mark.parametrize(
    ("started", "queue_ms", "total_ms"),
    [(10.25, 250.0, 1000.0), (None, 1000.0, 1000.0)],
)
def test_the_model_s_timings_are_completed_with_the_waiting_and_the_total(
    started: float | None, queue_ms: float, total_ms: float
) -> None:
    request = in_flight()
    request.started = started
    timings = request.timings(11.0, Timings(denoise_ms=3.0, tokens=7))
    assert timings == Timings(queue_ms=queue_ms, total_ms=total_ms, denoise_ms=3.0, tokens=7)
