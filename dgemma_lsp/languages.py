"""A file's name -> the editors' name of what is written in it. Pure; no file is opened.

An editor tells the language itself; this is for commands, which are given only a file.
"""

from collections.abc import Mapping
from pathlib import PurePath

_COMMIT_MESSAGES = {"COMMIT_EDITMSG", "MERGE_MSG", "TAG_EDITMSG"}

BY_ENDING: Mapping[str, str] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "plaintext",
    ".rst": "restructuredtext",
    ".tex": "latex",
    ".py": "python",
    ".pyi": "python",
    ".js": "javascript",
    ".jsx": "javascriptreact",
    ".ts": "typescript",
    ".tsx": "typescriptreact",
    ".c": "c",
    ".h": "c",
    ".cc": "cpp",
    ".cpp": "cpp",
    ".hpp": "cpp",
    ".cs": "csharp",
    ".java": "java",
    ".go": "go",
    ".rs": "rust",
    ".swift": "swift",
    ".kt": "kotlin",
    ".php": "php",
    ".rb": "ruby",
    ".lua": "lua",
    ".sh": "shellscript",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".toml": "toml",
    ".sql": "sql",
    ".html": "html",
    ".css": "css",
}


def language(file: PurePath) -> str:
    """Return the name of a file's language, "" where the file's name does not tell."""
    if file.name in _COMMIT_MESSAGES:
        return "gitcommit"
    return BY_ENDING.get(file.suffix.lower(), "")
