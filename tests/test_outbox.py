from dgemma_lsp import outbox
from dgemma_lsp.outbox import Outbox
from dgemma_lsp.wire import Block, Done, Draft, Response, decode_response, encode_json


def draft(step: int, block: int = 0, id: str = "1", size: int = 10) -> Draft:
    return Draft(id=id, block=block, step=step, text="x" * size)


def drained(box: Outbox) -> list[Response]:
    return [decode_response(box.take()) for _ in range(len(box))]


def lagging() -> Outbox:
    box = Outbox(encode_json)
    box.put(Block(id="big", block=0, text="x" * outbox.LAGGING_BYTES))
    return box


def test_a_reader_that_keeps_up_gets_every_draft_in_order() -> None:
    box = Outbox(encode_json)
    messages = [draft(1), draft(2), Block(id="1", block=0, text="y"), Done(id="1", reason="eos")]
    for message in messages:
        box.put(message)
    assert drained(box) == messages


def test_for_a_reader_that_lags_a_newer_draft_takes_the_place_of_the_older_one() -> None:
    box = lagging()
    for message in [draft(1), draft(1, block=1), draft(1, id="2"), draft(2)]:
        box.put(message)
    assert drained(box)[1:] == [draft(1, block=1), draft(1, id="2"), draft(2)]


def test_for_a_reader_that_lags_a_block_takes_the_place_of_its_draft() -> None:
    box = lagging()
    box.put(draft(1))
    box.put(Block(id="1", block=0, text="y"))
    assert drained(box)[1:] == [Block(id="1", block=0, text="y")]


def test_drafts_for_a_reader_that_reads_nothing_take_bounded_space() -> None:
    box = lagging()
    for step in range(10_000):
        box.put(draft(step, size=1000))
    assert len(box) == 2
    assert not box.full


def test_blocks_and_ends_are_never_dropped_and_fill_the_space_at_last() -> None:
    box = Outbox(encode_json)
    sent: list[Response] = []
    while not box.full:
        sent += [Block(id="1", block=len(sent), text="x" * 100_000), Done(id="1", reason="eos")]
        box.put(sent[-2])
        box.put(sent[-1])
    assert drained(box) == sent
    assert not box.full


def test_a_draft_that_was_taken_already_is_not_replaced() -> None:
    box = lagging()
    box.put(draft(1))
    assert drained(box)[1:] == [draft(1)]
    box.put(Block(id="big", block=1, text="x" * outbox.LAGGING_BYTES))
    box.put(draft(2))
    assert drained(box)[1:] == [draft(2)]
