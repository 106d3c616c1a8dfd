"""Cases of schemas, and whether we answer as what recorded them did: compatibility of Avro, its canonical form, JSON Schema.

A case with `reader` and `writer` says whether they are `compatible`, and perhaps `why` not; one with `input`, what its
`canonical` form and `fingerprint` are (none: it is no schema); one with `schema` and `data`, whether the data are `valid`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from penstock.cli.case_files import read_cases
from penstock.core.schemas.avro import Schema, avro_of, parse_avro
from penstock.core.schemas.avro_canonical import canonical, fingerprint
from penstock.core.schemas.avro_reading import obstacles
from penstock.core.schemas.values import json_findings
from penstock.errors import Finding, Invalid, Missing

REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Graded:
    """A case and what became of it. `passed` None: left out, since it needs a schema from the network."""

    name: str
    group: str
    expected: str
    got: str
    passed: bool | None
    same_words: bool | None = None


def cases_in(file: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the cases of a file: a JSON object a line, or a list of them. `Invalid` with what is wrong and where."""
    if not file.is_file():
        raise Missing(str(file), "name a file of cases, one JSON object a line")
    with file.open(encoding="utf-8") as text:
        is_list = text.read(1) == "["
    if not is_list:
        yield from read_cases(file, _case)
        return
    try:
        yield from cast("list[Mapping[str, Any]]", json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:
        raise Invalid(str(file), (Finding("(whole)", f"is not JSON ({error})"),)) from error


def graded(case: Mapping[str, Any], file: Path) -> Graded:
    """Answer a case, and compare. `file`: where it stands, whose name may say the draft of JSON Schema."""
    name = str(case.get("name", case.get("input", "a case without a name")))
    if "reader" in case and "writer" in case:
        return _compatible(case, name)
    if "input" in case:
        return _canonical(case, name)
    if "schema" in case and "data" in case:
        return _valid(case, name, 7 if "draft7" in file.name else 2020)
    raise Invalid(
        f"the case {name!r}",
        (Finding("(whole)", "is of no known kind", "reader and writer, input, or schema and data"),),
    )


def _case(line: str) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise Invalid("the case", (Finding("(whole)", f"is not JSON ({error})"),)) from error
    if not isinstance(found, dict):
        raise Invalid("the case", (Finding("(whole)", "is no object", "one JSON object a line"),))
    return cast("dict[str, Any]", found)


def _compatible(case: Mapping[str, Any], name: str) -> Graded:
    expected = "compatible" if case.get("compatible") else "incompatible"
    try:
        found = obstacles(_schema(case["reader"]), _schema(case["writer"]))
    except Invalid as error:
        return Graded(name, "Avro compatibility", expected, f"{REFUSED}: {error}", passed=False)
    got = "incompatible" if found else "compatible"
    same: bool | None = None
    if "why" in case:
        told = [(each.kind, each.location, each.message) for each in found]
        same = told == [(each["type"], each["location"], each["message"]) for each in case["why"]]
    return Graded(name, "Avro compatibility", expected, got, got == expected, same)


def _schema(given: Any) -> Schema:
    """Return a schema that stands as JSON, or as a text of JSON."""
    return parse_avro(given) if isinstance(given, str) and given.lstrip()[:1] in ("{", "[", '"') else avro_of(given)


def _canonical(case: Mapping[str, Any], name: str) -> Graded:
    expected = str(case.get("canonical", REFUSED))
    try:
        schema = parse_avro(case["input"])
    except Invalid as error:
        return Graded(name, "Avro canonical form", expected, f"{REFUSED}: {error}", expected == REFUSED)
    got = canonical(schema)
    if "fingerprint" in case:
        expected, got = f"{expected} {case['fingerprint']}", f"{got} {fingerprint(schema)}"
    return Graded(name, "Avro canonical form", expected, got, got == expected)


def _valid(case: Mapping[str, Any], name: str, draft: int) -> Graded:
    # The suite holds formats to be notes, but in the folder of their own tests.
    formats = bool(case.get("optional")) and "/format/" in name
    group = f"JSON Schema, draft {'7' if draft == 7 else '2020-12'}"  # noqa: PLR2004 - the draft's name
    expected = "valid" if case.get("valid") else "invalid"
    try:
        got = "invalid" if json_findings(case["schema"], case["data"], draft=draft, formats=formats) else "valid"
    except Invalid as error:
        if case.get("remote"):
            return Graded(name, group, expected, "left out", None)
        return Graded(name, group, expected, f"{REFUSED}: {error}", passed=False)
    return Graded(name, group, expected, got, None if case.get("remote") and got != expected else got == expected)
