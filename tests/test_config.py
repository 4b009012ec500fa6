import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from dgemma_lsp import config
from dgemma_lsp.config import Config, Paths
from dgemma_lsp.errors import UserError

SECTIONS = [
    config.Model,
    config.Completion,
    config.Editor,
    config.Chat,
    config.Daemon,
    Config,
]
README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"```toml\n(.*?)```", re.DOTALL)


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "config.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_missing_file_gives_the_defaults(tmp_path: Path) -> None:
    assert config.load(tmp_path / "none.toml") == Config()


@pytest.mark.parametrize("section", SECTIONS)
def test_every_default_is_one_that_could_be_written(section: type[msgspec.Struct]) -> None:
    assert msgspec.convert(msgspec.to_builtins(section()), section) == section()


def test_what_the_file_says_is_taken_and_the_rest_keeps_its_default(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '[model]\nname = "é"\n[completion]\nsteps = 4\n'
        '[daemon]\nidle_minutes = 5\norigins = ["http://localhost:3000"]\n',
    )
    expected = Config(
        model=config.Model(name="é"),
        completion=config.Completion(steps=4),
        daemon=config.Daemon(idle_minutes=5.0, origins=["http://localhost:3000"]),
    )
    assert config.load(path) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[model\n", "not valid TOML"),
        (b"\xff\xfe", "cannot be read"),
        ("[modle]\n", "modle"),
        ("[model]\nnaem = 'x'\n", r"naem.*\$\.model"),
        ("[model]\nname = 7\n", r"\$\.model\.name"),
        ("[completion]\nsteps = -1\n", r"\$\.completion\.steps"),
        ("[completion]\nsteps = 1025\n", r"\$\.completion\.steps"),
        ("[completion]\ncandidates = 0\n", r"\$\.completion\.candidates"),
        ("[chat]\nmax_tokens = 0\n", r"\$\.chat\.max_tokens"),
        ("[chat]\nhistory_chars = 0\n", r"\$\.chat\.history_chars"),
        ("[daemon]\nport = 65536\n", r"\$\.daemon\.port"),
        ("[daemon]\nidle_minutes = 0\n", r"\$\.daemon\.idle_minutes"),
        ("[daemon]\nqueue = 0\n", r"\$\.daemon\.queue"),
        ("[daemon]\norigins = 'x'\n", r"\$\.daemon\.origins"),
    ],
)
def test_what_cannot_be_taken_is_told_with_the_file_and_the_key(
    tmp_path: Path, text: str | bytes, told: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UserError, match=rf"^{path}: .*{told}"):
        config.load(path)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{tmp_path}: cannot be read"):
        config.load(tmp_path)


def test_the_files_of_the_daemon_lie_in_the_user_s_folders(tmp_path: Path) -> None:
    paths = Paths(config_file=tmp_path / "c", runtime=tmp_path / "run", state=tmp_path / "state")
    assert {path.parent for path in (paths.socket, paths.lock, paths.endpoint)} == {paths.runtime}
    assert paths.log.parent == paths.state
    assert len({paths.socket, paths.lock, paths.endpoint}) == 3


# -- the README ----------------------------------------------------------------------------------


def test_the_readme_names_each_option_exactly_once_with_its_default(tmp_path: Path) -> None:
    [block] = BLOCK.findall(README.read_text(encoding="utf-8"))
    # No TOML says that something is not there.
    without_default = {("completion", "causal_tokens"), ("completion", "denoise_below")}
    options = {
        (section, option): value
        for section, values in msgspec.json.decode(msgspec.json.encode(Config())).items()
        for option, value in values.items()
    }
    assert {name for name, value in options.items() if value is None} == without_default
    said = tomllib.loads(block)  # which refuses a name that comes twice
    assert {
        (section, option): value
        for section, values in said.items()
        for option, value in values.items()
    } == {name: value for name, value in options.items() if value is not None}
    for _, option in without_default:
        assert len(re.findall(rf"^# {option} = ", block, re.MULTILINE)) == 1
    assert config.load(written(tmp_path, block)) == Config()
