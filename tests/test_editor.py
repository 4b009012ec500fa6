from dataclasses import replace
from pathlib import Path

import pytest

from dgemma_lsp import at_cursor, client, wire
from dgemma_lsp.bench import Hole
from dgemma_lsp.config import Completion, Config
from dgemma_lsp.ignores import Ignores
from dgemma_lsp.project import Project
from sampler.events import Event
from sampler.load import load
from sampler.train.editor import Editor, package

CODE = "def area(width, height):\n    size = width * height\n    return size\n"
HOLE = Hole(Path("a.py"), CODE, 29, 50)
# What is shown must not hang on how sure the weights at hand are.
CONFIG = Config(completion=Completion(min_confidence=-1000.0))


@pytest.fixture(scope="module")
def editor():
    return Editor.open(load("nano", device="cpu"), CONFIG)


def test_a_hole_is_filled_with_what_the_application_makes_of_the_models_answer(editor):
    document = HOLE.filled("")
    request = at_cursor.request(
        HOLE.file,
        document,
        HOLE.start,
        CONFIG.completion,
        candidates=2,
        deadline_ms=None,
        sampling=wire.Sampling(max_steps=3, seed=0),
    )
    answer = editor.answers.answer(request)
    editor.engine.submit("other", answer.request)
    told = []
    while not editor.engine.idle:
        for _, event in editor.engine.step():
            told += answer.tell(event) if isinstance(event, Event) else []
    told = [message for message in told if isinstance(message, wire.Block)]
    whole = client.gathered([*told, answer.done()], 2, request.spares)
    given = at_cursor.insertion(whole, request, document, HOLE.start, CONFIG.completion, "")
    fill = editor.fill(HOLE, steps=3, seed=0, candidates=2)
    assert (fill.text, fill.candidates) == (given.text, given.candidates)


def test_the_same_seed_gives_the_same_text_also_when_the_text_before_was_read(editor):
    first = editor.fill(HOLE, steps=4, seed=1)
    editor.read(HOLE)
    assert editor.fill(HOLE, steps=4, seed=1).text == first.text
    assert first.steps <= 4


def test_a_known_length_is_what_was_cut_out_in_tokens(editor):
    job = editor._job(HOLE)
    length = editor._length(job, HOLE.middle)
    assert length == len(editor.answers.prompts.encode(HOLE.middle))
    # More than the canvas holds leaves room for the suffix.
    size = editor.answers.model.defaults.canvas_length
    assert editor._length(job, "0123456789" * 30) == size - 1
    answer = editor.answers.completion(job, length)
    assert [layout.holes for layout in answer._layouts] == [(slice(0, length),)] * 3


@pytest.mark.parametrize("lines", [1, 2])
def test_the_causal_side_writes_as_many_lines_as_it_is_told(editor, lines):
    fill = editor.write(HOLE, lines)
    assert fill.text.rstrip("\n").count("\n") < lines


def test_alone_the_diffusion_side_fills_with_no_copies(editor):
    alone = editor.alone()
    assert alone.answers.config.completion.causal_tokens == 0
    assert alone.engine is editor.engine
    assert alone.fill(HOLE, steps=2, seed=0).steps <= 2


def test_a_workspace_is_the_package_of_a_file(tmp_path: Path) -> None:
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        (folder / "__init__.py").touch()
    assert package(inner / "a.py") == tmp_path / "outer"
    assert package(tmp_path / "a.py") == tmp_path


def test_the_other_files_of_a_package_may_be_copied_from(tmp_path: Path, editor: Editor) -> None:
    lines = ["def ready(okapi):", "    okapi.zebra(okapi, 3)", "    return okapi.quagga", ""]
    (tmp_path / "other.py").write_text("\n".join(lines))
    start = len(lines[0]) + 5
    hole = Hole(tmp_path / "me.py", "\n".join(lines), start, start + len(lines[1]) - 4)
    seeing = replace(editor, project=Project(Ignores().leave_out))
    assert editor.fill(hole, steps=1, seed=0).text != hole.middle
    assert seeing.fill(hole, steps=1, seed=0).text == hole.middle
