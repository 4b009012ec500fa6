"""Python source -> its syntax tree, or nothing where it is none. No files, and no judgement."""

import ast
import warnings


def syntax_tree(source: str) -> ast.Module | None:
    """Return the tree of a file; None where it does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in somebody's strings
            return ast.parse(source)
    except (SyntaxError, ValueError):
        return None
