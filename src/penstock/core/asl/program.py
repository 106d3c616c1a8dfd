"""State machines made ready to run: every path, template, expression and rule is parsed once.

`compiled` takes a machine that has no findings; what it cannot parse all the same raises `Invalid`, with all findings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from msgspec import UNSET, UnsetType

from penstock.core.asl import definition as asl
from penstock.core.asl.choice_rule import ChoiceRule
from penstock.core.asl.choices import Rule, parse_rule
from penstock.core.asl.definition import JSONATA, MaybePath
from penstock.core.asl.failures import PathInvalid
from penstock.core.asl.flow import DISCARDED, Discarded
from penstock.core.asl.jsonata.templates import QueryTemplate, parse_query_template
from penstock.core.asl.language import DataFlow, Exit, JsonataFlow, PathFlow
from penstock.core.asl.references import DataPath, parse_data_path
from penstock.core.asl.scope import Scope
from penstock.core.asl.templates import Expression, Template, parse_expression, parse_template
from penstock.core.asl.values import Json
from penstock.errors import Finding, Invalid

Asks: TypeAlias = Callable[[Scope], bool]


@dataclass(frozen=True, slots=True)
class Amount:
    """A number that stands in a field, or is computed. `field` is the field's name without `Path`, also where it has a path."""

    field: str
    constant: Json = None
    path: DataPath | None = None
    expression: QueryTemplate | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A text that stands in a field, or is computed; `field` as the definition names it."""

    field: str
    constant: str | None = None
    path: Expression | None = None
    expression: QueryTemplate | None = None


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule of a Choice; `exit` is its own Assign and Output, or else the state's."""

    asks: Asks
    next: str
    exit: Exit


@dataclass(frozen=True, slots=True)
class CompiledCatcher:
    errors: frozenset[str]
    next: str
    exit: Exit


@dataclass(frozen=True, slots=True)
class Step:
    """A state made ready. What only some types have is None or empty for the others."""

    name: str
    state: asl.AnyState
    uses_jsonata: bool
    flow: DataFlow
    retry: tuple[asl.Retrier, ...] = ()
    catch: tuple[CompiledCatcher, ...] = ()
    rules: tuple[CompiledRule, ...] = ()
    amounts: Mapping[str, Amount] = field(default_factory=dict[str, Amount])
    texts: Mapping[str, Text] = field(default_factory=dict[str, Text])
    templates: Mapping[str, Template | QueryTemplate] = field(default_factory=dict[str, Template | QueryTemplate])
    items_path: DataPath | None = None
    branches: "tuple[Program, ...]" = ()

    @property
    def next(self) -> str | None:
        """The state that follows; None where the branch ends, or where rules choose."""
        return getattr(self.state, "next", None)


@dataclass(frozen=True, slots=True)
class Program:
    """The states of a machine, of a branch, or of a Map's processor."""

    start_at: str
    steps: Mapping[str, Step]
    timeout_s: float | None = None


def compiled(machine: asl.Machine) -> Program:
    """Return a machine made ready to run. Raise `Invalid` with all findings when an expression in it is none."""
    compiler = _Compiler(machine)
    program = compiler.program(machine, "$")
    if compiler.findings:
        raise Invalid("the state machine", tuple(compiler.findings))
    return program


_AMOUNTS = (
    "timeout_seconds",
    "heartbeat_seconds",
    "seconds",
    "max_concurrency",
    "tolerated_failure_count",
    "tolerated_failure_percentage",
    "max_items",
    "max_items_per_batch",
    "max_input_bytes_per_batch",
)
_UNSET: Any = UNSET  # in the place of a template that a state does not have
_TEXTS = ("timestamp", "error", "cause")
_WORKING = (asl.Task, asl.Parallel, asl.Map)


class _Compiler:
    def __init__(self, machine: asl.Machine) -> None:
        self._machine = machine
        self.findings: list[Finding] = []

    def program(self, scope: asl.Scope, path: str) -> Program:
        steps = {name: self._step(name, state, f"{path}.States.{name}") for name, state in scope.states.items()}
        timeout_s = scope.timeout_seconds if isinstance(scope, asl.Machine) else None
        return Program(scope.start_at, steps, timeout_s)

    def _step(self, name: str, state: asl.AnyState, path: str) -> Step:
        in_jsonata = self._machine.language(state) == JSONATA
        flow = self._jsonata_flow(state, path) if in_jsonata else self._path_flow(state, path)
        inner = [self.program(each, path) for each in asl.children(state)]
        templates = {
            key: self._template(value, key, path, in_jsonata=in_jsonata) for key, value in _templates(state).items()
        }
        items_path = getattr(state, "items_path", None)
        return Step(
            name,
            state,
            in_jsonata,
            flow,
            retry=getattr(state, "retry", ()),
            catch=tuple(
                self._catcher(each, f"Catch[{at}]", path, in_jsonata=in_jsonata)
                for at, each in enumerate(getattr(state, "catch", ()))
            ),
            rules=tuple(
                self._rule(each, flow, f"Choices[{at}]", path, in_jsonata=in_jsonata)
                for at, each in enumerate(state.choices if isinstance(state, asl.Choice) else ())
            ),
            amounts=dict(
                pair for part in _with_amounts(state) for pair in self._amounts(part, path, in_jsonata=in_jsonata)
            ),
            texts=dict(self._texts(state, path, in_jsonata=in_jsonata)),
            templates=templates,
            items_path=None if items_path is None else self._path(items_path, f"{path}.ItemsPath"),
            branches=tuple(inner),
        )

    def _path_flow(self, state: asl.AnyState, path: str) -> PathFlow:
        def template(field: str, name: str) -> Template | None:
            value = getattr(state, field, UNSET)
            return None if value is UNSET or value is None else self._path_template(value, f"{path}.{name}")

        # A Map's Parameters are the older name of ItemSelector, and no Parameters of its own.
        parameters = None if isinstance(state, asl.Map) else template("parameters", "Parameters")
        return PathFlow(
            self._maybe_path(state.input_path, f"{path}.InputPath"),
            parameters,
            template("result_selector", "ResultSelector"),
            self._maybe_path(getattr(state, "result_path", UNSET), f"{path}.ResultPath"),
            self._maybe_path(state.output_path, f"{path}.OutputPath"),
            template("assign", "Assign"),
        )

    def _jsonata_flow(self, state: asl.AnyState, path: str) -> JsonataFlow:
        arguments = getattr(state, "arguments", UNSET)
        return JsonataFlow(
            None if arguments is UNSET else self._query(arguments, "Arguments", path),
            None if state.output is UNSET else self._query(state.output, "Output", path),
            None if state.assign is None else self._query(dict(state.assign), "Assign", path),
            works=isinstance(state, _WORKING),
        )

    def _exit(self, part: ChoiceRule | asl.Catcher, field: str, path: str, *, in_jsonata: bool, catches: bool) -> Exit:
        if in_jsonata:
            assign = None if part.assign is None else self._query(dict(part.assign), f"{field}/Assign", path)
            output = None if part.output is UNSET else self._query(part.output, f"{field}/Output", path)
            return JsonataFlow(None, output, assign, catches=catches)
        assign = None if part.assign is None else self._path_template(dict(part.assign), f"{path}.{field}.Assign")
        result_path = part.result_path if isinstance(part, asl.Catcher) else UNSET
        return PathFlow(result_path=self._maybe_path(result_path, f"{path}.{field}.ResultPath"), assign=assign)

    def _catcher(self, catcher: asl.Catcher, field: str, path: str, *, in_jsonata: bool) -> CompiledCatcher:
        taken = self._exit(catcher, field, path, in_jsonata=in_jsonata, catches=True)
        return CompiledCatcher(frozenset(catcher.error_equals), catcher.next, taken)

    def _rule(self, rule: ChoiceRule, flow: DataFlow, field: str, path: str, *, in_jsonata: bool) -> CompiledRule:
        assert rule.next is not None, "a rule without Next has a finding"
        own = rule.assign is not None or rule.output is not UNSET
        taken = self._exit(rule, field, path, in_jsonata=in_jsonata, catches=False) if own else flow
        if isinstance(taken, PathFlow) and isinstance(flow, PathFlow):
            taken = taken._replace(output_path=flow.output_path)
        return CompiledRule(self._asks(rule, f"{field}/Condition", path, in_jsonata=in_jsonata), rule.next, taken)

    def _asks(self, rule: ChoiceRule, field: str, path: str, *, in_jsonata: bool) -> Asks:
        if in_jsonata:
            return _condition(self._query(rule.condition, field, path))
        parsed, findings = parse_rule(asl.to_document(rule), path)
        self.findings += findings
        return _never if parsed is None else _matching(parsed)

    def _amounts(self, part: object, path: str, *, in_jsonata: bool) -> "list[tuple[str, Amount]]":
        found: list[tuple[str, Amount]] = []
        for each in _AMOUNTS:
            name = _pascal(each)
            value, from_path = getattr(part, each, None), getattr(part, f"{each}_path", None)
            if from_path is not None:
                found.append((each, Amount(name, path=self._path(from_path, f"{path}.{name}Path"))))
            elif isinstance(value, str) and in_jsonata:
                found.append((each, Amount(name, expression=self._query(value, name, path))))
            elif value is not None:
                found.append((each, Amount(name, constant=value)))
        return found

    def _texts(self, state: asl.AnyState, path: str, *, in_jsonata: bool) -> "list[tuple[str, Text]]":
        found: list[tuple[str, Text]] = []
        for each in _TEXTS:
            name = _pascal(each)
            value, from_path = getattr(state, each, None), getattr(state, f"{each}_path", None)
            if from_path is not None:
                found.append((each, Text(f"{name}Path", path=self._expression(from_path, f"{path}.{name}Path"))))
            elif isinstance(value, str) and in_jsonata:
                found.append((each, Text(name, expression=self._query(value, name, path))))
            elif value is not None:
                found.append((each, Text(name, constant=value)))
        return found

    def _template(self, value: Json, field: str, path: str, *, in_jsonata: bool) -> "Template | QueryTemplate":
        return self._query(value, field, path) if in_jsonata else self._path_template(value, f"{path}.{field}")

    def _query(self, value: Json, field: str, path: str) -> QueryTemplate:
        parsed, findings = parse_query_template(value, field, f"{path}.{field}")
        self.findings += findings
        return parsed

    def _path_template(self, value: Json, path: str) -> Template:
        parsed, findings = parse_template(value, path)
        self.findings += findings
        return parsed

    def _maybe_path(self, path: MaybePath, where: str) -> DataPath | Discarded | None:
        if isinstance(path, UnsetType):
            return None
        return DISCARDED if path is None else self._path(path, where)

    def _path(self, text: str, where: str) -> DataPath | None:
        try:
            return parse_data_path(text)
        except PathInvalid as error:
            self.findings.append(Finding(where, f"is no path: {error}"))
            return None

    def _expression(self, text: str, where: str) -> Expression | None:
        try:
            return parse_expression(text)
        except PathInvalid as error:
            self.findings.append(Finding(where, f"is no path and no intrinsic function: {error}"))
            return None


def _condition(template: QueryTemplate) -> Asks:
    return lambda scope: template.evaluate(scope, expected="boolean") is True


def _matching(rule: Rule) -> Asks:
    return rule.matches


def _never(_scope: Scope) -> bool:
    return False


def _templates(state: asl.AnyState) -> dict[str, Json]:
    """Return the templates that are no part of a state's own flow, by their place in the definition."""
    match state:
        case asl.Task():
            given = {"Credentials": state.credentials}
        case asl.Pass():
            given = {}
        case asl.Map():
            reader, writer, batcher = state.item_reader, state.result_writer, state.item_batcher
            given = {
                "Items": state.items,
                "ItemSelector": state.selector,
                "ItemReader": UNSET if reader is None else _given(reader),
                "ItemReader.CSVHeaders": UNSET if reader is None else _computed_headers(reader.reader_config),
                "ResultWriter": UNSET if writer is None else _given(writer),
                "ItemBatcher.BatchInput": UNSET if batcher is None else batcher.batch_input,
            }
        case _:
            given = {}
    return {name: value for name, value in given.items() if value is not UNSET}


def _computed_headers(config: asl.ReaderConfig | None) -> Json:
    headers = None if config is None else config.csv_headers
    return headers if isinstance(headers, str) else _UNSET


def _with_amounts(state: asl.AnyState) -> list[object]:
    """Return a state, and the parts of it that have numbers of their own."""
    if not isinstance(state, asl.Map):
        return [state]
    return [state, state.item_batcher, None if state.item_reader is None else state.item_reader.reader_config]


def _given(part: asl.ItemReader | asl.ResultWriter) -> Json:
    return part.parameters if part.arguments is UNSET else part.arguments


def _pascal(field: str) -> str:
    return "".join(word.capitalize() for word in field.split("_"))
