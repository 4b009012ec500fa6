"""The demo with the shipped model, as the README shows its end."""

import io
import os
from pathlib import Path

import pytest
from home import Home
from neovim_picture import recorded_svg
from rich.console import Console
from rich.terminal_theme import MONOKAI

from dgemma_lsp import client, demo, wire

pytestmark = pytest.mark.e2e


async def test_every_hole_of_the_demo_comes_to_its_end(daemon_home: Home) -> None:
    """With DGEMMA_TEST_PICTURES the end is kept in that folder, as the README shows it."""
    assert demo.NEXT in daemon_home.dgemma("demo", "--plain")
    config = daemon_home.config
    link = await client.connect(config, daemon_home.paths, start=False)
    try:
        scenes = [scene async for scene in demo.play(link, config, wire.Sampling(seed=1))]
    finally:
        await link.close()
    ended = [scene for scene in scenes if scene.outcome]
    assert len(ended) == len(demo.HOLES)
    console = Console(width=96, record=True, file=io.StringIO(), color_system="truecolor")
    demo.show_end(ended, console, link.welcome.model)
    assert demo.NEXT in console.export_text(clear=False)
    if folder := os.environ.get("DGEMMA_TEST_PICTURES"):
        picture = recorded_svg(console, "dgemma demo", MONOKAI)
        Path(folder, "demo.svg").write_text(picture, encoding="utf-8")
