"""Runs one program under limits; a script that `sandbox` starts, of the standard library alone.

On stdin come a word, in a line of its own, and the program. Only a program that came to its end
without an exception has the word written to stdout: one that leaves early has not passed its tests.
"""

import os
import resource
import sys

CPU_SECONDS, MEMORY_BYTES, OPEN_FILES = 4, 1 << 30, 32

_REFUSED = (
    *("socket.", "subprocess.", "shutil.", "tempfile.", "ctypes.", "pty.", "urllib.", "http."),
    *("ftplib.", "smtplib.", "webbrowser.", "resource.", "os.system", "os.exec", "os.fork"),
    *("os.posix_spawn", "os.kill", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link"),
    *("os.symlink", "os.chmod", "os.chown", "os.truncate", "os.utime", "os.putenv"),
)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def limit() -> None:
    """Bound time, memory and files of this process for good."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    flags = arguments[2] if event == "open" else 0
    if event.startswith(_REFUSED) or (isinstance(flags, int) and flags & _WRITES):
        raise PermissionError(f"a tested program may not do this: {event}")


def main() -> None:
    """Run the program of stdin, and say the word if it ends well."""
    word, _, program = sys.stdin.read().partition("\n")
    out = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    limit()
    try:
        exec(compile(program, "<program>", "exec"), {"__name__": "program"})
    except BaseException:  # SystemExit too: what leaves has not come to its end
        os._exit(1)
    os.write(out, word.encode())
    os._exit(0)


if __name__ == "__main__":
    main()
