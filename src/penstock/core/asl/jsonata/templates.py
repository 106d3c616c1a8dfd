"""JSON in which any text of the form `{% ... %}` is computed: Arguments, Output, Assign, ItemSelector and single values."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.core.asl.failures import PathInvalid
from penstock.core.asl.jsonata.marks import Kind, is_query
from penstock.core.asl.nodes import Constant, Node, list_of, object_of
from penstock.core.asl.scope import Scope
from penstock.core.asl.values import Json
from penstock.errors import Finding

if TYPE_CHECKING:
    from penstock.core.asl.jsonata.query import Query


@dataclass(frozen=True, slots=True)
class _Computed:
    query: "Query"
    field: str

    def evaluate(self, scope: Scope, /) -> Json:
        return self.query.evaluate(scope, field=self.field)


@dataclass(frozen=True, slots=True)
class QueryTemplate:
    """A parsed template. Its fields are named as AWS names them in causes: `Output/a/b[0]`."""

    node: Node
    queries: "tuple[Query, ...]"

    @property
    def variables(self) -> frozenset[str]:
        return frozenset(name for each in self.queries for name in each.variables)

    def evaluate(self, scope: Scope, *, expected: Kind | None = None) -> Json:
        """Return the value. `expected` is the kind that the field needs, asked of an expression that stands alone in it."""
        if expected is not None and isinstance(self.node, _Computed):
            return self.node.query.evaluate(scope, field=self.node.field, expected=expected)
        return self.node.evaluate(scope)


def parse_query_template(value: Json, field: str, path: str = "") -> tuple[QueryTemplate, list[Finding]]:
    """Return the template of a JSON value that stands in a field of a state, and everything that is wrong with it.

    `field` is its name in causes, such as `Output` or `Choices[1]/Condition`; `path` is where it stands in the definition.
    """
    queries: list[Query] = []
    findings: list[Finding] = []

    def node(value: Json, field: str, path: str) -> Node:
        if isinstance(value, str) and is_query(value):
            return computed(value, field, path)
        if isinstance(value, dict):
            return object_of([(key, node(each, f"{field}/{key}", f"{path}/{key}")) for key, each in value.items()])
        if isinstance(value, list):
            return list_of(
                value, [node(each, f"{field}[{index}]", f"{path}[{index}]") for index, each in enumerate(value)]
            )
        return Constant(value)

    def computed(text: str, field: str, path: str) -> Node:
        from penstock.core.asl.jsonata.query import (
            parse_query,  # with the library, which machines in JSONPath never load
        )

        try:
            query = parse_query(text)
        except PathInvalid as error:
            findings.append(Finding(path, f"is not a valid JSONata expression: {error}"))
            return Constant(text)
        findings.extend(_refusals(query, path))
        queries.append(query)
        return _Computed(query, field)

    return QueryTemplate(node(value, field, path), tuple(queries)), findings


def _refusals(query: "Query", path: str) -> Iterator[Finding]:
    hint = "read the input by $states.input, a variable by $name"
    return (Finding(path, problem, hint) for problem in query.refused)
