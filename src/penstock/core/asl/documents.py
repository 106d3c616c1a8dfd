"""From the text of a definition to its document: JSON or YAML, with what CloudFormation templates put into YAML."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from penstock.core.asl.findings import Finding, finding
from penstock.core.asl.substitutions import substituted
from penstock.core.asl.values import Json
from penstock.errors import Missing

DOCUMENT_BYTES_MAX: Final = 1024 * 1024
DEPTH_MAX: Final = 300


class _KeysTwice(list[str]):
    """The keys that stood twice in one object."""


def read_document(document: "bytes | str | Mapping[str, Json]") -> tuple[dict[str, Json] | None, list[Finding]]:
    """Return the object that a text stands for, and what is wrong with the text; None when it is no object at all."""
    if not isinstance(document, bytes | str):
        return _bounded(dict(document))
    try:
        text = document if isinstance(document, str) else document.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return None, [finding("document-syntax", "", f"is not UTF-8: {error}")]
    if not text.strip():
        return None, [finding("document-empty", "", "is empty")]
    if len(text) > DOCUMENT_BYTES_MAX:
        return _sized({}, text)
    value, found = _from_json(text) if text.lstrip().startswith(("{", "[")) else _from_yaml(text)
    if isinstance(value, dict):
        bounded, refused = _bounded(value)
        return bounded, [*found, *refused]
    return None, found or [finding("document-syntax", "", "must be an object", "it begins with { in JSON")]


def _bounded(value: dict[str, Json]) -> tuple[dict[str, Json] | None, list[Finding]]:
    """Return a document that is neither too deep nor too large, with its functions filled in. Depth first: all else recurs."""
    level: list[Json] = [value]
    for _ in range(DEPTH_MAX):
        level = [each for one in level if isinstance(one, dict | list) for each in _inside(one)]
        if not level:
            return _sized(substituted(value), json.dumps(value))
    return None, [finding("too-deep", "", f"has more than {DEPTH_MAX} levels of objects and lists")]


def _inside(value: dict[str, Json] | list[Json]) -> Iterable[Json]:
    return value.values() if isinstance(value, dict) else value


def _sized(value: dict[str, Json], text: str) -> tuple[dict[str, Json] | None, list[Finding]]:
    size = len(text.encode())
    if size <= DOCUMENT_BYTES_MAX:
        return value, []
    return None, [finding("document-size", "", f"has {size} bytes, at most {DOCUMENT_BYTES_MAX} are allowed")]


def _from_json(text: str) -> tuple[Json, list[Finding]]:
    twice = _KeysTwice()

    def members(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        whole = dict(pairs)
        if len(whole) < len(pairs):
            keys = [key for key, _ in pairs]
            twice.extend(key for key in whole if keys.count(key) > 1)
        return whole

    try:
        value = json.loads(text, object_pairs_hook=members, parse_constant=_refuse)
    except RecursionError:
        return None, [finding("too-deep", "", "is nested too deeply to be read")]
    except ValueError as error:
        return None, [finding("document-syntax", "", f"is not JSON: {error}")]
    return value, [
        finding("key-twice", "", f"key {key!r} is twice in one object: the last one counts") for key in twice
    ]


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON value")


def _from_yaml(text: str) -> tuple[Json, list[Finding]]:
    try:
        import yaml
    except ImportError as error:
        raise Missing("PyYAML", "pip install pyyaml, or write the definition as JSON") from error
    from penstock.core.asl.yaml_documents import DefinitionLoader

    try:
        value: Any = yaml.load(text, DefinitionLoader)  # noqa: S506 - a safe loader, of JSON's types only
        json.dumps(value)
    except RecursionError:
        return None, [finding("too-deep", "", "is nested too deeply to be read")]
    except (yaml.YAMLError, ValueError, TypeError) as error:
        return None, [finding("document-syntax", "", f"is not YAML: {' '.join(str(error).split())}")]
    return cast("Json", value), []
