"""Reads an event pattern: its JSON form becomes branches of fields, or everything that is wrong with it.

A pattern without `$or` has one branch; each `$or` multiplies them. As AWS does it: a `$or` that is not a list of two objects
or more is a field of that name; a field that is named twice is what it is the last time.
"""

from collections.abc import Mapping, Sequence

from penstock.core.patterns.conditions import Condition, Field, Pattern, Unless, Wildcard
from penstock.core.patterns.documents import Members, is_list, is_object, members_of, read
from penstock.core.patterns.operators import RESERVED, Reason, condition_of
from penstock.core.patterns.wildcards import COMPLEXITY_MAX, complexity
from penstock.errors import Finding, Invalid

BYTES_MAX = 65_536
BRANCHES_MAX = 1_000
CONDITIONS_MAX = 10_000
DEPTH_MAX = 100
WHAT = "the event pattern"
OR = "$or"
TOO_COMPLEX = (
    "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a wildcard "
    "character"
)
_HINTS = {
    "Unrecognized match type": "an object in a list of values is an operator: prefix, suffix, anything-but, numeric, exists, "
    "equals-ignore-case, wildcard, cidr; fields of nested objects go into an object without a list around it",
    '"': 'write the values that match as a list: ["..."]',
    "Match value must be": "a list of values cannot hold a list",
    "Empty arrays": "name a value, or leave the field out",
    "Empty objects": "name a field, or leave the object out",
    "Filter is not": "write an object with a field in it",
    "Only one key": "write one object for each operator",
    "Too many elements": 'write one operator with its value, or a range such as [">", 0, "<=", 5]',
    "Rule is too complex": f"at most {COMPLEXITY_MAX} places of its wildcards may be reached at once",
    "Cannot compare": "use a number that a double holds",
    "Consecutive wildcard": "one * stands for any run of characters",
    "Invalid escape": r"only \* and \\ can be escaped",
    "Unsupported anything-but": "inside of anything-but: prefix, suffix, equals-ignore-case or wildcard",
    "There must have": "a single alternative needs no $or",
}

Branch = dict[str, tuple[Condition, ...]]


def parse_pattern(
    source: str | bytes | Mapping[str, object], *, complexity_max: int | None = COMPLEXITY_MAX
) -> Pattern:
    """Read a pattern, as JSON text or as what it says.

    Wildcards that are too complex together for AWS are refused, unless there is no limit. Raises `Invalid` with every
    finding, in the order of the text; the problems are AWS's words.
    """
    if isinstance(source, str | bytes):
        if len(source) > BYTES_MAX:
            raise Invalid(WHAT, (Finding("$", f"is longer than {BYTES_MAX} bytes", "write several rules"),))
        source_read = read(source, WHAT)
    else:
        source_read = source
    reading = _Reading(complexity_max)
    branches = reading.all(source_read)
    if reading.findings and reading.has_or:
        plain = _Reading(complexity_max, or_is_a_field=True)
        plain_branches = plain.all(source_read)
        if not plain.findings:
            return _pattern(plain_branches)
    if reading.findings:
        raise Invalid(WHAT, tuple(reading.findings))
    return _pattern(branches)


def _pattern(branches: list[Branch]) -> Pattern:
    return Pattern(
        tuple(tuple(Field(path, branch[path]) for path in sorted(branch, key=_in_java_order)) for branch in branches)
    )


def _in_java_order(path: str) -> bytes:
    return path.encode("utf-16-be", "surrogatepass")


class _Reading:
    def __init__(self, complexity_max: int | None, *, or_is_a_field: bool = False) -> None:
        self.findings: list[Finding] = []
        self.has_or = False
        self._complexity_max = complexity_max
        self._or_is_a_field = or_is_a_field
        self._conditions = 0

    def all(self, document: object) -> list[Branch]:
        if not is_object(document):
            self._wrong("$", "Filter is not an object")
            return []
        return self._object(document, (), [{}], where="$", inside_or=False)

    def _wrong(self, where: str, reason: str) -> None:
        hint = next((hint for start, hint in _HINTS.items() if reason.startswith(start)), "")
        self.findings.append(Finding(where, reason, hint))

    def _object(
        self,
        document: Mapping[str, object] | Members,
        names: tuple[str, ...],
        branches: list[Branch],
        *,
        where: str,
        inside_or: bool,
    ) -> list[Branch]:
        """Read the members of an object into all of the branches, and return what has become of them."""
        if not members_of(document):
            self._wrong(where, "Empty objects are not allowed")
        if len(names) > DEPTH_MAX:
            self._wrong(where, f"is nested more than {DEPTH_MAX} deep")
            return branches
        for name, value in members_of(document):
            here = f"{where}.{name}"
            if name == OR and not self._or_is_a_field:
                self.has_or = True
                branches = self._either(value, names, branches, here)
            elif inside_or and name in RESERVED:
                self._wrong(here, f"{name} is Ruler reserved fieldName which cannot be used inside {OR}.")
            elif is_object(value):
                branches = self._object(value, (*names, name), branches, where=here, inside_or=inside_or)
            elif is_list(value):
                path = ".".join((*names, name))
                conditions = self._values(value, here)
                branches = [{**branch, path: conditions} for branch in branches]
            else:
                self._wrong(here, f'"{name}" must be an object or an array')
        return branches

    def _either(self, value: object, names: tuple[str, ...], branches: list[Branch], where: str) -> list[Branch]:
        if not is_list(value):
            self._wrong(where, f"It must be an Array followed with {OR}.")
            return branches
        found: list[Branch] = []
        for number, element in enumerate(value):
            here = f"{where}[{number}]"
            if is_object(element):
                found += self._object(element, names, branches, where=here, inside_or=True)
            else:
                self._wrong(here, f"Only JSON object is allowed in array of {OR} relationship.")
            if len(found) > BRANCHES_MAX:
                self._wrong(where, f"makes more than {BRANCHES_MAX} combinations")
                return branches
        if len(value) < 2:  # noqa: PLR2004 - one or the other
            self._wrong(where, f"There must have at least 2 Objects in {OR} relationship.")
        return found or branches

    def _values(self, values: Sequence[object], where: str) -> tuple[Condition, ...]:
        conditions: list[Condition] = []
        for number, element in enumerate(values):
            try:
                conditions.append(condition_of(element))
            except Reason as reason:
                self._wrong(f"{where}[{number}]", str(reason))
        if not values:
            self._wrong(where, "Empty arrays are not allowed")
        self._conditions += len(conditions)
        if self._conditions > CONDITIONS_MAX:
            self._wrong(where, f"the pattern names more than {CONDITIONS_MAX} values")
        self._simple_enough(conditions, where)
        return tuple(dict.fromkeys(conditions))

    def _simple_enough(self, conditions: Sequence[Condition], where: str) -> None:
        wildcards = [each.pieces for each in conditions if isinstance(each, Wildcard)]
        for each in conditions:
            if isinstance(each, Unless):
                wildcards += [inner.pieces for inner in each.conditions if isinstance(inner, Wildcard)]
        bound = self._complexity_max
        if bound is not None and wildcards and complexity(wildcards, bound) > bound:
            self._wrong(where, TOO_COMPLEX)
