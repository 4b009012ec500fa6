"""The JSON Schema of what a client of the loopback port sends and gets. Pure: made of the types.

`web/PROTOCOL.md` is compared with `fields` by a test.
"""

from typing import Any

import msgspec

from dgemma_lsp import wire

_TEMPLATE = "#/$defs/{name}"
_WORDS = {"string": "text", "boolean": "true or false", "null": "null"}


def schema() -> dict[str, Any]:
    """Return the schema of one frame: a request in `Request`, an answer in `Response`."""
    (request, response), parts = msgspec.json.schema_components(
        [wire.Request, wire.Response], ref_template=_TEMPLATE
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Frames of the chat endpoint of dgemma-lsp",
        "$defs": {**parts, "Request": request, "Response": response},
    }


def fields(kind: type[msgspec.Struct]) -> list[tuple[str, str, str]]:
    """Return each field's name, type and default in words; the default of a required one is empty.

    The field `type`, which tells messages apart, is left out.
    """
    (_,), parts = msgspec.json.schema_components([kind], ref_template=_TEMPLATE)
    described = parts[kind.__name__]
    tagged = kind.__struct_config__.tag is not None
    return [
        (name, _type(field), _default(name, field, described["required"]))
        for name, field in described["properties"].items()
        if not (tagged and name == "type")
    ]


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(choice) for choice in field["anyOf"])
    if "$ref" in field:
        return f"`{field['$ref'].rpartition('/')[2]}`"
    if "enum" in field:
        return " or ".join(f"`{choice}`" for choice in field["enum"])
    if field["type"] == "array":
        most = f", {field['maxItems']} at most" if "maxItems" in field else ""
        least = f", {field['minItems']} at least" if "minItems" in field else ""
        return f"list of {_type(field['items'])}{least}{most}"
    return f"{_WORDS.get(field['type'], field['type'])}{_range(field)}"


def _range(field: dict[str, Any]) -> str:
    low = field.get("minimum", field.get("minLength", field.get("exclusiveMinimum")))
    high = field.get("maximum", field.get("maxLength"))
    if low is None and high is None:
        return ""
    unit = " characters" if field["type"] == "string" else ""
    low = 0 if low is None else low
    # What is only there to fit every client's integers is no limit that anyone meets.
    if high is None or high >= 2**53:
        return f", {low} or more"
    return f", {low} to {high}{unit}"


def _default(name: str, field: dict[str, Any], required: list[str]) -> str:
    if name in required:
        return ""
    default = field["default"]
    return "`{}`" if isinstance(default, dict) else f"`{msgspec.json.encode(default).decode()}`"
