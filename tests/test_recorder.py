"""The clock and the file behind the outcomes; what they mean is told in test_outcomes."""

import time
from pathlib import Path

import pytest

from dgemma_lsp import recorder
from dgemma_lsp.config import Editor
from dgemma_lsp.outcome_log import OutcomeLog
from dgemma_lsp.outcomes import Ended, Kept, Line, Offer
from dgemma_lsp.recorder import Recorder

OFFER = Offer(uri="file:///a", language="python", before="x = ", after="\n", texts=("foo",))


@pytest.fixture
def log(tmp_path: Path) -> OutcomeLog:
    return OutcomeLog(tmp_path / "log.jsonl")


@pytest.mark.parametrize(("record", "texts"), [("outcomes", [""]), ("code", ["foo"]), ("off", [])])
async def test_what_is_recorded_is_what_is_wanted(
    log: OutcomeLog, record: str, texts: list[str]
) -> None:
    one = Recorder(log, Editor(record=record))  # type: ignore[arg-type]
    [id] = one.offered(OFFER)
    one.shown(id)
    one.partly_accepted(id, "foo", 1)
    one.rejected(id)
    assert [line.text for line in log.read() if isinstance(line, Ended)] == texts
    one.close()


async def test_the_alarm_rings_when_it_is_time_to_look_at_what_was_kept(
    log: OutcomeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.time()
    clock = iter([began, began])  # offered, accepted; then it is ten minutes later
    monkeypatch.setattr(recorder.time, "time", lambda: next(clock, began + 600))
    one = Recorder(log, Editor())
    [id] = one.offered(OFFER)
    one.accepted(id)
    alarm = one._alarm
    assert alarm is not None and not alarm.cancelled()
    one._ring()
    ended, *kept = log.read()
    assert isinstance(ended, Ended)
    expected: list[Line] = [
        Kept(id=ended.id, after_s=30.0, share=1.0),
        Kept(id=ended.id, after_s=300.0, share=1.0),
    ]
    assert kept == expected
    assert one._alarm is None


async def test_two_servers_never_give_the_same_id(log: OutcomeLog) -> None:
    ids = {Recorder(log, Editor()).offered(OFFER)[0] for _ in range(20)}
    assert len(ids) == 20


async def test_a_closed_document_leaves_no_alarm_behind(log: OutcomeLog) -> None:
    one = Recorder(log, Editor())
    [id] = one.offered(OFFER)
    one.changed(OFFER.uri, "x = foo\n")
    assert one._alarm is not None
    one.closed(OFFER.uri)
    assert one._alarm is None
    assert [line.id for line in log.read()] == [id.removesuffix(".0")]
