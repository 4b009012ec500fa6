"""Options over the configuration file, and the folders of the user."""

import stat
from pathlib import Path

import pytest

from dgemma_lsp import settings
from dgemma_lsp.config import Config, Paths
from dgemma_lsp.errors import UserError
from dgemma_lsp.settings import Common


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RUNTIME_DIR", "STATE_HOME", "CONFIG_HOME"):
        (tmp_path / name).mkdir(mode=0o700)
        monkeypatch.setenv(f"XDG_{name}", str(tmp_path / name))
    return tmp_path


def test_the_folders_are_this_user_s_own(home: Path) -> None:
    found = settings.read(Common())
    assert found.paths == Paths(
        config_file=home / "CONFIG_HOME/dgemma/config.toml",
        runtime=home / "RUNTIME_DIR/dgemma",
        state=home / "STATE_HOME/dgemma",
    )
    modes = [stat.S_IMODE(f.stat().st_mode) for f in (found.paths.runtime, found.paths.state)]
    assert modes == [0o700, 0o700]


def test_the_option_wins_over_the_file_and_the_file_over_the_default(home: Path) -> None:
    file = home / "own.toml"
    file.write_text('[model]\nname = "a/b"\ndevice = "cpu"\n')
    assert settings.read(Common()).config == Config()
    of_file = settings.read(Common(config_file=file))
    assert (of_file.config.model.name, of_file.model_given) == ("a/b", False)
    packed = settings.read(Common(config_file=file, quantize="4bit")).config.model
    assert (packed.name, packed.quantize) == ("a/b", "4bit")
    both = settings.read(Common(config_file=file, model="c/d"))
    assert (both.config.model.name, both.config.model.device) == ("c/d", "cpu")
    assert both.model_given


def test_a_relative_configuration_file_becomes_absolute(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "own.toml").touch()
    monkeypatch.chdir(home)
    assert settings.read(Common(config_file=Path("own.toml"))).paths.config_file == (
        home / "own.toml"
    )


def test_what_may_start_a_daemon_needs_a_model_that_can_be_found(home: Path) -> None:
    file = home / "own.toml"
    file.write_text('[model]\nname = "/absent"\n')
    assert settings.read(Common(config_file=file)).config.model.name == "/absent"
    with pytest.raises(UserError, match="/absent"):
        settings.read_startable(Common(config_file=file))


def test_values_are_checked_when_they_are_laid_over() -> None:
    assert settings.with_values(Config(), "daemon", port=7).daemon.port == 7
    with pytest.raises(UserError, match="port"):
        settings.with_values(Config(), "daemon", port=70_000)


def test_a_path_too_long_for_a_socket_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / ("x" * 100)))
    with pytest.raises(UserError, match="too long for a socket"):
        settings.read(Common())


def test_a_process_that_serves_others_leaves_a_bad_option_out_and_tells_it(home: Path) -> None:
    file = home / "own.toml"
    file.write_text('[model]\nthreads = -1\ndevice = "cpu"\n[nonsense]\n')
    chosen = Common(config_file=file, model="nano")
    found, problems = settings.read_serving(chosen)
    assert (found.config.model.threads, found.config.model.device) == (0, "cpu")
    assert [problem.startswith(f"{file}: ") for problem in problems] == [True, True]
    assert "model.threads = -1" in problems[0] and "nonsense" in problems[1]
    with pytest.raises(UserError, match="threads"):
        settings.read_startable(chosen)


def test_of_a_file_that_is_no_toml_nothing_holds_but_the_process_serves(home: Path) -> None:
    file = home / "own.toml"
    file.write_text("[model\n")
    found, [problem] = settings.read_serving(Common(config_file=file))
    assert found.config.model.device == "auto"
    assert "not valid TOML" in problem and "left out" in problem


def test_a_file_that_was_asked_for_must_be_there(home: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        settings.read_serving(Common(config_file=home / "absent.toml"))
