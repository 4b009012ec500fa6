import msgspec
import pytest

from dgemma_lsp import wire, wire_types
from dgemma_lsp.wire_types import Sampling, Timings


def test_what_is_left_out_of_sampling_is_not_sent() -> None:
    assert msgspec.json.encode(Sampling(seed=3)) == b'{"seed":3}'


@pytest.mark.parametrize("kind", [Sampling, Timings])
def test_a_field_of_a_newer_version_is_ignored(kind: type[msgspec.Struct]) -> None:
    assert msgspec.json.decode(b'{"newer": 1}', type=kind) == kind()


@pytest.mark.parametrize("name", ["Id", "ModelState", "Priority", "Reason", "Role", "Trigger"])
def test_the_messages_know_them_by_the_same_name(name: str) -> None:
    assert getattr(wire, name) is getattr(wire_types, name)
