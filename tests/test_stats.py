import io

from rich.console import Console

from dgemma_lsp.outcomes import Ended, Kept, Line, Outcome, Way
from dgemma_lsp.stats import Figures, figures, table


def ended(
    id: str, outcome: Outcome, way: Way = "", language: str = "python", ms: float = 100.0
) -> Ended:
    return Ended(
        id=id,
        at=1.0,
        language=language,
        outcome=outcome,
        way=way,
        latency_ms=ms,
        steps=4,
        chars=9,
        taken=0,
        seconds=1.0,
    )


LINES: list[Line] = [
    ended("1", "accepted", "inserted", ms=100.0),
    Kept(id="1", after_s=30.0, share=1.0),
    ended("2", "accepted", "typed", ms=200.0),
    Kept(id="1", after_s=300.0, share=0.25),
    Kept(id="2", after_s=30.0, share=0.5),
    ended("3", "ignored", ms=300.0),
    ended("4", "rejected", language="rust", ms=50.0),
    Kept(id="lost", after_s=30.0, share=0.0),
]


def test_each_language_has_its_figures_and_all_together() -> None:
    python, rust, everything = figures(LINES)
    assert python == Figures(
        language="python",
        shown=3,
        accepted=2,
        typed=1,
        partly=0,
        rejected=0,
        ignored=1,
        kept_30s=0.75,
        kept_5min=0.25,
        ms_p50=200.0,
        ms_p95=290.0,
        steps=4.0,
    )
    assert (rust.language, rust.shown, rust.rejected, rust.kept_30s) == ("rust", 1, 1, None)
    assert (rust.ms_p50, rust.ms_p95) == (50.0, 50.0)
    assert (everything.language, everything.shown, everything.kept_30s) == ("all", 4, 0.75)


def test_nothing_shown_gives_no_figures() -> None:
    assert figures([]) == figures([Kept(id="1", after_s=30.0, share=1.0)]) == []


def test_a_file_without_a_language_has_a_name_too() -> None:
    assert figures([ended("1", "ignored", language="")])[0].language == "(none)"


def test_the_table_shows_counts_shares_and_times_on_a_narrow_screen() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(table(figures(LINES)))
    rows = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert rows == [
        "kept ms",
        "language shown accepted typed partly rejected ignored 30s/5min p50/p95 steps",
        "python 3 2, 67 % 1 0 0 1 75/25 % 200/290 4.0",
        "rust 1 0, 0 % 0 0 1 0 -/- % 50/50 4.0",
        "all 4 2, 50 % 1 0 1 1 75/25 % 150/285 4.0",
    ]
