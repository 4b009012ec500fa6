from pathlib import Path

from dgemma_lsp.accepted import DICTIONARY, Accepted, add_to_project, project_words


def test_what_is_accepted_is_there_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "state" / "accepted.json"
    accepted = Accepted(file)
    accepted.accept("file:///a", "frob")
    accepted.ignore("file:///a", "A sentence.", "sentense")
    accepted.turn_off("casing")

    again = Accepted(file)
    assert again.words("file:///a", []) == ["frob"]
    assert again.ignores("file:///a", "A sentence.", "sentense")
    assert again.rules == ["casing"]


def test_what_is_accepted_in_one_document_is_not_in_another(tmp_path: Path) -> None:
    accepted = Accepted(tmp_path / "accepted.json")
    accepted.accept("file:///a", "frob")
    accepted.ignore("file:///a", "A sentence.", "sentense")
    assert accepted.words("file:///b", []) == []
    assert not accepted.ignores("file:///b", "A sentence.", "sentense")


def test_a_broken_file_accepts_nothing_and_stops_nobody(tmp_path: Path) -> None:
    file = tmp_path / "accepted.json"
    file.write_text("{broken")
    assert Accepted(file).rules == []


def test_a_project_has_a_dictionary_of_its_own_in_alphabetical_order(tmp_path: Path) -> None:
    add_to_project(tmp_path, "zeta")
    add_to_project(tmp_path, "Alpha")
    add_to_project(tmp_path, "zeta")
    assert (tmp_path / DICTIONARY).read_text() == "Alpha\nzeta\n"
    assert Accepted(tmp_path / "none").words("file:///a", [tmp_path]) == ["Alpha", "zeta"]


def test_remarks_and_empty_lines_of_a_dictionary_are_no_words(tmp_path: Path) -> None:
    (tmp_path / ".dgemma").mkdir()
    (tmp_path / DICTIONARY).write_text("# ours\n\nfrob\n")
    assert project_words(tmp_path) == ["frob"]
