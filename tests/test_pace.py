import pytest

from dgemma_lsp.pace import KEYS, Pace


def typed(*gaps_ms: int, answers_ms: tuple[int, ...] = ()) -> tuple[Pace, float]:
    pace, now = Pace(), 50.0
    pace.key(now)
    for gap in gaps_ms:
        now += gap / 1000
        pace.key(now)
    for answer in answers_ms:
        pace.answered(answer / 1000)
    return pace, now


@pytest.mark.parametrize(
    ("gaps_ms", "since_ms", "answers_ms", "wait_ms"),
    [
        pytest.param([], 0, (), 0, id="the first key"),
        pytest.param([50], 0, (), 0, id="two keys are no rhythm"),
        pytest.param([50, 50], 0, (), 50, id="fast: about a key's time"),
        pytest.param([150, 150], 0, (), 75, id="slower: as long as may be"),
        pytest.param([150, 150], 40, (), 35, id="part of it has passed"),
        pytest.param([150, 150], 200, (), 0, id="the editor has waited itself"),
        pytest.param([300, 300], 0, (), 0, id="an answer comes between two keys"),
        pytest.param([300, 300], 0, (400, 500), 75, id="not where answers are slow"),
        pytest.param([100, 100], 0, (60, 80), 0, id="where they are fast it does"),
        pytest.param([50, 50, 1500], 0, (), 0, id="after a pause it begins anew"),
        pytest.param([50, 50, 1500, 60, 60], 0, (), 60, id="what was before it is forgotten"),
        pytest.param([900] * KEYS + [50] * KEYS, 0, (), 50, id="so are old keys"),
    ],
)
def test_fast_typing_is_waited_for_and_slow_typing_is_not(
    gaps_ms: list[int], since_ms: int, answers_ms: tuple[int, ...], wait_ms: int
) -> None:
    pace, now = typed(*gaps_ms, answers_ms=answers_ms)
    assert pace.wait_s(now + since_ms / 1000, 0.075) == pytest.approx(wait_ms / 1000, abs=1e-9)


def test_nobody_waits_where_it_is_switched_off() -> None:
    pace, now = typed(50, 50)
    assert pace.wait_s(now, 0.0) == 0.0
