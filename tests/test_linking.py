"""A command's link to the daemon."""

import pytest
from command import Command, dgemma
from scripted_daemon import ScriptedDaemon, answering

from dgemma_lsp import linking, settings, wire
from dgemma_lsp.config import Config, Model
from dgemma_lsp.errors import UserError
from dgemma_lsp.settings import Settings

__all__ = ["dgemma"]


def asking_for(dgemma: Command, name: str, *, given: bool) -> Settings:
    settings.prepare_folders(dgemma.paths)
    config = Config(model=Model(name=name))
    return Settings(config=config, paths=dgemma.paths, model_given=given)


@pytest.mark.parametrize(("name", "given"), [("scripted", True), ("nano", False)])
async def test_a_daemon_is_used_whose_model_was_asked_for_or_was_left_open(
    dgemma: Command, name: str, given: bool
) -> None:
    request = wire.Complete(id="a", document="d", version=0, prefix="x")
    wanted = asking_for(dgemma, name, given=given)
    async with ScriptedDaemon(dgemma.paths.socket, answering("y")) as daemon:
        answer, model = await linking.ask(wanted, request)
        assert (answer.texts, model) == (["y"], "scripted")
        async with linking.daemon_link(wanted) as link:
            pass
        assert not link.alive
        assert len(daemon.connections) == 2


async def test_a_daemon_with_another_model_than_the_given_one_is_refused(dgemma: Command) -> None:
    wanted = asking_for(dgemma, "nano", given=True)
    async with ScriptedDaemon(dgemma.paths.socket, answering("y")):
        with pytest.raises(UserError, match="dgemma stop"):
            async with linking.daemon_link(wanted):
                pass


async def test_nothing_is_said_about_waiting_where_nobody_looks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with linking.waiting("loading") as tell:
        tell("half loaded")
    assert capsys.readouterr() == ("", "")
