import json

import msgspec
import pytest

from dgemma_lsp import wire
from dgemma_lsp.batch_lines import Asked, Failure, Result, failure, read, result, told
from dgemma_lsp.client import Completion
from dgemma_lsp.errors import ModelFailed

NOTHING = wire.Sampling()


def only(text, defaults=NOTHING):
    raw = text.encode() if isinstance(text, str) else text
    [line] = read(raw, defaults, "run")
    return line


@pytest.mark.parametrize(
    ("text", "request_of"),
    [
        (
            '{"prompt": "a"}',
            lambda s: wire.Generate(id="1", prompt="a", priority="bulk", sampling=s),
        ),
        (
            '{"messages": [{"role": "user", "content": "hi"}]}',
            lambda s: wire.Chat(
                id="1",
                messages=[wire.Turn(role="user", content="hi")],
                priority="bulk",
                drafts=False,
                sampling=s,
            ),
        ),
        (
            '{"prefix": "a", "suffix": "b", "path": "src/a.c", "language": "c"}',
            lambda s: wire.Complete(
                id="1",
                document="batch:run:1/src/a.c",
                version=0,
                prefix="a",
                suffix="b",
                language="c",
                trigger="invoked",
                priority="bulk",
                sampling=s,
            ),
        ),
    ],
)
def test_a_line_becomes_a_request_in_bulk(text, request_of):
    assert only(text) == Asked(line=1, request=request_of(wire.Sampling(seed=65536)))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nonsense", "malformed"),
        ('{"prompt": "a"', "truncated"),
        ('{"prompt": "a"} {}', "malformed"),
        ("[1]", "Expected `object`, got `array`"),
        ("{}", "one of prompt, messages, prefix; this one holds nothing"),
        ('{"promt": "a", "id": 1}', "holds only promt, id"),
        ('{"suffix": "a"}', "holds only suffix"),
        ('{"prompt": "a", "prefix": "b"}', "holds prompt and prefix"),
        ('{"prompt": ""}', "length >= 1 - at `$.prompt`"),
        ('{"prompt": 5}', "Expected `str`, got `int` - at `$.prompt`"),
        ('{"prompt": "a", "suffix": "b"}', "unknown field `suffix`"),
        ('{"prefix": "a", "sufix": "b"}', "unknown field `sufix`"),
        ('{"prompt": "a", "sampling": {"sed": 1}}', "unknown field `sed` - at `$.sampling`"),
        ('{"prompt": "a", "sampling": {"max_steps": 0}}', "at `$.sampling.max_steps`"),
        ('{"prompt": "a", "seed": 1}', "unknown field `seed`"),
        ('{"prompt": "a", "id": null}', "id is a string or a number, not null"),
        ('{"prompt": "a", "id": [1]}', "id is a string or a number, not [1]"),
        ('{"messages": []}', "length >= 1 - at `$.messages`"),
        ('{"messages": [{"role": "me", "content": ""}]}', "'me' - at `$.messages[0].role`"),
        ('{"messages": [{"role": "user", "content": "", "n": 1}]}', "unknown field `n`"),
        (b'{"prompt": "\xfc"}', "not UTF-8: byte 0xfc at 12"),
        ('{"prompt": "a", "sampling": ' + "[" * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_line_is_told_by_what_is_wrong_with_it(text, reason):
    line = only(text)
    assert isinstance(line, Failure)
    assert line.line == 1
    assert reason in line.error


@pytest.mark.parametrize("id", ['"a"', '"\\u00e4 \\"x\\""', "7", "-7.50", "1e400", str(2**70)])
def test_an_id_is_echoed_as_it_stands(id):
    asked = only(f'{{"id": {id} , "prompt": "a"}}')
    encoded = msgspec.json.encode(failure(asked, ModelFailed("no"))).decode()
    assert encoded == f'{{"line":1,"id":{id},"error":"no"}}'


@pytest.mark.parametrize(
    ("keys", "language"),
    [
        ({}, ""),
        ({"path": "a.py"}, "python"),
        ({"path": "a.xyz"}, ""),
        ({"path": "a.py", "language": "c"}, "c"),
    ],
)
def test_a_path_tells_the_language_that_is_not_given(keys, language):
    assert only(json.dumps({"prefix": "a"} | keys)).request.language == language


def test_blank_lines_count_but_ask_nothing():
    data = b'\xef\xbb\xbf{"prompt": "a"}\r\n\n \t\r\n{"prompt": "b"}\nx\n\n'
    lines = read(data, NOTHING, "run")
    assert [(line.line, type(line)) for line in lines] == [(1, Asked), (4, Asked), (5, Failure)]
    assert read(b"", NOTHING, "run") == read(b"\n\n", NOTHING, "run") == []


def test_only_a_line_feed_ends_a_line():
    asked = only('{"prompt": "a\u2028b\x85c"}')
    assert asked.request.prompt == "a\u2028b\x85c"


@pytest.mark.parametrize(
    ("own", "defaults", "expected"),
    [
        ({}, {}, {"seed": 65536}),
        ({}, {"seed": 5, "max_steps": 9}, {"seed": 65541, "max_steps": 9}),
        ({"seed": 7, "max_steps": 3}, {"seed": 5, "max_steps": 9}, {"seed": 7, "max_steps": 3}),
        ({"seed": 0}, {"seed": 5}, {"seed": 0}),
        ({"max_steps": None}, {"max_steps": 9}, {"seed": 65536, "max_steps": 9}),
        ({"entropy_bound": 0.5}, {"max_tokens": 8}, {"entropy_bound": 0.5, "max_tokens": 8}),
        ({}, {"seed": 2**63 - 1}, {"seed": 65535}),
    ],
)
def test_what_a_line_says_of_the_sampling_goes_before_the_defaults(own, defaults, expected):
    line = json.dumps({"prompt": "a", "sampling": own})
    asked = only(line, wire.Sampling(**defaults))
    assert asked.request.sampling == wire.Sampling(**({"seed": 65536} | expected))


def test_equal_lines_have_different_seeds_and_documents():
    lines = read(b'{"prefix": "a"}\n' * 50, NOTHING, "run")
    assert len({line.request.sampling.seed for line in lines}) == 50
    assert len({line.request.document for line in lines}) == 50


def test_a_result_tells_the_time_in_the_model_without_the_waiting():
    timings = wire.Timings(queue_ms=90.0, total_ms=100.26, tokens=5, steps=3)
    answer = Completion(texts=["x\n"], reason="eos", timings=timings, steps=3, stable=True)
    got = result(only('{"prompt": "a", "id": 1}'), answer)
    assert msgspec.json.encode(got).decode() == (
        '{"line":1,"id":1,"text":"x\\n","reason":"eos","tokens":5,"steps":3,"ms":10.3}'
    )
    without = result(only('{"prompt": "a"}'), answer)
    assert without == Result(line=1, text="x\n", reason="eos", tokens=5, steps=3, ms=10.3)
    assert "id" not in json.loads(msgspec.json.encode(without))


@pytest.mark.parametrize(
    ("failed", "text"),
    [
        (set(), "9 done: out"),
        ({4}, "9 done, 1 failed (line 4): see errors"),
        ({30, 4}, "9 done, 2 failed (lines 4, 30): see errors"),
        (set(range(7)), "9 done, 7 failed (lines 0, 1, 2, 3, 4, ...): see errors"),
    ],
)
def test_the_end_is_told_in_one_line(failed, text):
    assert told(9, failed, "out", "errors") == text
