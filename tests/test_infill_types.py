from typing import Any

import msgspec
import pytest

from dgemma_lsp import infill_types
from dgemma_lsp.client import gathered
from dgemma_lsp.config import Completion
from dgemma_lsp.infill_types import InfillRequest
from dgemma_lsp.wire import Block, Done, Sampling, Timings

OPTIONS = Completion()


def asked(**fields: Any) -> InfillRequest:
    return msgspec.convert(fields, InfillRequest)


def typing(line: str, rest: str = "", above: str = "a = 1\n", below: str = "b\n") -> InfillRequest:
    """What llama.vim asks with the cursor behind `line`."""
    return asked(input_prefix=above, prompt=line, input_suffix=f"{rest}\n{below}")


def test_the_cursors_line_stands_behind_the_lines_above() -> None:
    job = typing("x =", ")", "a = 1\r\n").job(OPTIONS)
    assert (job.prefix, job.suffix) == ("a = 1\nx =", ")\nb\n")
    assert (job.max_lines, job.deadline_ms) == (OPTIONS.max_lines, OPTIONS.deadline_ms)


def test_what_is_read_is_what_the_configuration_says() -> None:
    options = Completion(prefix_chars=64, suffix_chars=4, steps=3)
    job = typing("x", above="line of ten\n" * 100, below="y\n" * 100).job(options)
    assert len(job.prefix) <= 64
    assert len(job.suffix) <= 4
    assert job.sampling == Sampling(max_steps=3)


@pytest.mark.parametrize(
    ("fields", "sampling"),
    [
        ({}, Sampling()),
        ({"n_predict": -1, "seed": -1}, Sampling()),
        ({"n_predict": 128, "seed": 5}, Sampling(max_tokens=128, seed=5)),
    ],
)
def test_the_length_and_the_seed_are_the_clients(
    fields: dict[str, Any], sampling: Sampling
) -> None:
    assert asked(prompt="x", **fields).job(OPTIONS).sampling == sampling


def test_the_times_that_the_client_allows_are_the_deadline() -> None:
    assert asked(t_max_prompt_ms=500, t_max_predict_ms=250).job(OPTIONS).deadline_ms == 750
    assert (
        asked(t_max_prompt_ms=3_600_000, t_max_predict_ms=1).job(OPTIONS).deadline_ms == 3_600_000
    )


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (typing("x = 1"), True),
        (typing("x =", ")"), True),
        (typing("x =", above="a = 2\n"), False),
        (typing("x =", below="c\n"), False),
        (typing("", above="a = 1\nx =\n"), False),
        (asked(), False),
        (asked(input_prefix="a = 1\nx =", input_suffix="\nb\n"), True),
    ],
)
def test_who_types_on_in_a_line_is_in_the_same_document(other: InfillRequest, same: bool) -> None:
    assert (other.document == typing("x =").document) == same


EXTRA = [{"filename": "a.py", "text": "one\n", "time": 1}, {"filename": "b.py", "text": "two\n"}]


def test_other_files_are_read_as_far_as_the_configuration_says() -> None:
    request = asked(prompt="x", input_extra=EXTRA)
    assert request.job(OPTIONS).prefix == "x"
    read = request.job(Completion(context_chars=100)).prefix
    assert read == "// a.py\none\n\n\n// b.py\ntwo\n\n\n// this file\nx"
    assert "a.py" not in request.job(Completion(context_chars=8)).prefix


@pytest.mark.parametrize(
    ("fields", "announces"),
    [
        ({"n_predict": 0}, True),
        ({"n_predict": 1, "t_max_predict_ms": 1}, True),
        ({"n_predict": 1}, False),
        ({}, False),
    ],
)
def test_what_only_announces_a_request_is_told_from_one(
    fields: dict[str, Any], announces: bool
) -> None:
    assert asked(**fields).only_announces == announces


def test_what_is_announced_is_read_when_nobody_else_waits_if_it_is_read_at_all() -> None:
    request = asked(n_predict=0, input_extra=EXTRA, t_max_prompt_ms=1, t_max_predict_ms=1)
    assert request.warming(OPTIONS) is None
    job = request.warming(Completion(context_chars=100))
    assert job is not None
    assert "two" in job.prefix
    assert (job.priority, job.deadline_ms, job.sampling.max_steps) == ("bulk", None, 1)


def block(text: str, **fields: Any) -> Block:
    return Block(id="infill", block=0, text=text, **fields)


@pytest.mark.parametrize(
    ("blocks", "stop", "content"),
    [
        ([], [], ""),
        ([block(" 1")], [], " 1"),
        ([block(" 1", confidence=-9.0)], [], ""),
        ([block(" 1\n")], ["\n"], " 1"),
        ([block(" 1 + 1")], ["+", " "], ""),
        ([block("")], [], ""),
    ],
)
def test_what_is_not_worth_showing_is_not_sent(
    blocks: list[Block], stop: list[str], content: str
) -> None:
    request = msgspec.structs.replace(typing("x ="), stop=stop)
    assert infill_types.shown(request, gathered([*blocks, DONE], 1), OPTIONS) == content


def test_what_the_suffix_says_already_is_not_said_again() -> None:
    request = typing("print(", ")")
    assert infill_types.shown(request, gathered([block("x)"), DONE], 1), OPTIONS) == "x"


DONE = Done(
    id="infill",
    reason="settled",
    timings=Timings(prompt_tokens=10, prefill_ms=5.0, tokens=4, denoise_ms=8.0),
)


def test_an_answer_tells_the_text_and_what_it_took() -> None:
    body = infill_types.answer(asked(), "x", DONE, "nano")
    assert (body["content"], body["model"], body["stop"]) == ("x", "nano", True)
    assert body["timings"] == {
        "prompt_n": 10,
        "prompt_ms": 5.0,
        "prompt_per_token_ms": 0.5,
        "prompt_per_second": 2000.0,
        "predicted_n": 4,
        "predicted_ms": 8.0,
        "predicted_per_token_ms": 2.0,
        "predicted_per_second": 500.0,
    }


def test_a_client_gets_the_fields_that_it_names_under_the_names_it_uses() -> None:
    fields = ["content", "timings/predicted_n", "timings/none", "none/deep", ""]
    body = infill_types.answer(asked(response_fields=fields), "x", DONE, "nano")
    assert body == {"content": "x", "timings/predicted_n": 4}


def test_nothing_is_divided_by_nothing() -> None:
    body = infill_types.answer(asked(), "", Done(id="infill", reason="steps"), "nano")
    assert body["timings"]["predicted_per_second"] == 0.0
    assert body["timings"]["prompt_per_token_ms"] == 0.0
