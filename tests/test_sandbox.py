import os

import pytest

from sampler.train import sandbox


@pytest.mark.parametrize(
    ("program", "well"),
    [
        ("x = 1", True),
        ("", True),
        ("print('much ' * 10**6)", True),
        ("import collections, hashlib, math, random, re, typing\nassert math.sqrt(4) == 2", True),
        ("name = 'grün'\nassert len(name) == 4", True),
        ("assert __name__ != '__main__'", True),
        ("assert False", False),
        ("def f(:", False),
        ("def f(): f()\nf()", False),
        # An early end is not a good one.
        ("import sys; sys.exit(0)", False),
        ("import os; os._exit(0)", False),
    ],
)
def test_a_program_ends_well_if_it_comes_to_its_end(program, well):
    assert sandbox.ends_well(program) is well


@pytest.mark.parametrize(
    "program",
    [
        "open('new', 'w')",
        "import os; os.open('new', os.O_CREAT | os.O_WRONLY)",
        "import os; os.remove(__import__('sys').executable)",
        "import os; os.mkdir('new')",
        "import os; os.system('true')",
        "import os; os.fork()",
        "import subprocess; subprocess.run(['true'])",
        "import socket; socket.socket()",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1')",
        "x = [0] * 10**9",
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    ],
)
def test_a_program_is_refused_files_processes_sockets_and_much_memory(program):
    assert not sandbox.ends_well(program)


def test_a_program_that_waits_for_ever_is_ended():
    assert not sandbox.ends_well("import time\ntime.sleep(1000)", wall_seconds=0.5)


def test_a_program_sees_nothing_of_the_environment(monkeypatch):
    monkeypatch.setenv("SECRET", "1")
    assert sandbox.ends_well("import os\nassert 'SECRET' not in os.environ")
    assert sandbox.ends_well(f"import os\nassert os.getcwd() != {os.getcwd()!r}")


def test_where_namespaces_can_be_made_there_is_no_network():
    if not sandbox.namespaces():
        assert not sandbox.ends_well("import socket\nsocket.socket()")
    else:
        assert sandbox.ends_well("assert set(open('/proc/net/dev').read().split()) >= {'lo:'}")
        assert sandbox.ends_well("assert open('/proc/net/route').read().count('\\n') <= 1")


def test_each_program_is_told_of_once():
    assert sandbox.passing(["x = 1", "assert 0", "x = 1"]) == {"x = 1": True, "assert 0": False}
