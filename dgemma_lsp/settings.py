"""What options, environment and configuration file say together, and the folders they name.

The options come from the command line, the environment through platformdirs. No daemon is asked.
"""

import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import msgspec
import platformdirs
from msgspec import Struct

from dgemma_lsp import checkpoints, config, runtime
from dgemma_lsp.config import Config, Paths
from dgemma_lsp.errors import UserError
from dgemma_lsp.overlay import Laid, lay_over

# The kernel's limit for the path of a Unix socket, without the byte that ends it.
_SOCKET_PATH_BYTES = 103 if sys.platform == "darwin" else 107


@dataclass
class Common:
    """The options that every command takes, before or after its name."""

    model: str | None = None
    quantize: str | None = None
    config_file: Path | None = None


class Settings(Struct, frozen=True, kw_only=True):
    """What options, environment and configuration file say together."""

    config: Config
    paths: Paths
    model_given: bool


def find_paths(config_file: Path | None) -> Paths:
    """Return where this user's files lie; nothing is created."""
    own = platformdirs.user_config_path("dgemma") / "config.toml"
    with warnings.catch_warnings():
        # Without XDG_RUNTIME_DIR it warns of the folder that it takes instead; `prepare_folder`
        # checks that folder itself.
        warnings.simplefilter("ignore", UserWarning)
        folder = platformdirs.user_runtime_path("dgemma")
    return Paths(
        config_file=config_file.absolute() if config_file else own,
        runtime=folder,
        state=platformdirs.user_state_path("dgemma"),
    )


def prepare_folders(paths: Paths) -> None:
    """Create the runtime and state folders, 0700.

    Raises UserError where that cannot be, or where no socket can lie in the runtime folder.
    """
    runtime.prepare_folder(paths.runtime)
    try:
        paths.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise UserError(f"{paths.state}: cannot be made: {exc.strerror}") from exc
    length = len(os.fsencode(paths.socket))
    if length > _SOCKET_PATH_BYTES:
        raise UserError(
            f"{paths.socket}: {length} bytes are too long for a socket (at most "
            f"{_SOCKET_PATH_BYTES}); set XDG_RUNTIME_DIR to a shorter folder"
        )


def refuse_missing(chosen: Common, paths: Paths) -> None:
    """Raise UserError for a configuration file that was asked for and is not there."""
    if chosen.config_file and not paths.config_file.exists():
        raise UserError(f"--config {chosen.config_file}: no such file")


def load_config(chosen: Common, paths: Paths) -> Config:
    """Lay the options over the configuration file; raises UserError."""
    refuse_missing(chosen, paths)
    return lay_model(config.load(paths.config_file), chosen)


def load_what_holds(chosen: Common, paths: Paths) -> Laid:
    """Do the same for a process that a bad option must not keep from serving; raises UserError.

    What cannot be taken of the configuration file is told in the problems and left out.
    """
    try:
        laid = lay_over(Config(), config.read(paths.config_file), str(paths.config_file))
    except UserError as exc:
        laid = Laid(Config(), [f"{exc}; all of it is left out"])
    return Laid(lay_model(laid.config, chosen), laid.problems)


def lay_model(base: Config, chosen: Common) -> Config:
    """Return the configuration with the model that was asked for, as far as one was."""
    asked = {"name": chosen.model, "quantize": chosen.quantize}
    given = {option: value for option, value in asked.items() if value is not None}
    return with_values(base, "model", **given) if given else base


def read(chosen: Common) -> Settings:
    """Return what holds for this command, the user's folders made; raises UserError."""
    paths = find_paths(chosen.config_file)
    loaded = load_config(chosen, paths)
    prepare_folders(paths)
    return Settings(config=loaded, paths=paths, model_given=chosen.model is not None)


def read_serving(chosen: Common) -> tuple[Settings, list[str]]:
    """Return the settings of a process that serves others, and what of them was left out.

    Its model must be one that can be found; raises UserError.
    """
    paths = find_paths(chosen.config_file)
    refuse_missing(chosen, paths)
    laid = load_what_holds(chosen, paths)
    prepare_folders(paths)
    found = Settings(config=laid.config, paths=paths, model_given=chosen.model is not None)
    return with_found_model(found), laid.problems


def read_startable(chosen: Common) -> Settings:
    """Return the settings of a command that may start a daemon: with a model that can be found."""
    return with_found_model(read(chosen))


def with_found_model(settings: Settings) -> Settings:
    """Return the settings with the model's full name; raises UserError where there is none."""
    name = checkpoints.resolve(settings.config.model.name)
    return msgspec.structs.replace(
        settings, config=with_values(settings.config, "model", name=name)
    )


def with_values(base: Config, section: str, **values: object) -> Config:
    """Return the configuration with some values of a section replaced, and its ranges checked."""
    tree = msgspec.to_builtins(base)
    tree[section] |= values
    try:
        return msgspec.convert(tree, Config)
    except msgspec.ValidationError as exc:
        raise UserError(f"{exc}") from exc
