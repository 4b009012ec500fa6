"""`python -m dgemma_lsp` is the `dgemma` command."""

from dgemma_lsp.cli import main

main()
