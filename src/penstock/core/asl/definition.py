"""State machines of the Amazon States Language as typed values: what `parse` returns, and what one writes to build one in Python.

    machine = Machine(start_at="Hello", states={"Hello": Pass(result="hi", next="Done"), "Done": Succeed()})

- Each field has the name of the document's in snake case; `to_document` and `from_document` go there and back without loss.
- Nothing here is checked or evaluated: that is what `core/asl/validation.py` and the evaluators do.
- Values are immutable. JSON inside of them (Parameters, Result, ...) is shared, and must never be changed in place.
- None is a field that is absent. Where null has a meaning of its own, absent is `UNSET`.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from penstock.core.asl.choice_rule import ChoiceRule

JSONPATH: Final = "JSONPath"
JSONATA: Final = "JSONata"
QueryLanguage: TypeAlias = Literal["JSONPath", "JSONata"]

Payload: TypeAlias = Any
"""JSON whose strings may be expressions: keys that end with `.$` in JSONPath, texts within `{% %}` in JSONata."""
Amount: TypeAlias = int | float | str
"""A number or, in JSONata, a text within `{% %}` that gives one."""
MaybePath: TypeAlias = str | UnsetType | None
"""A path, null (which means nothing at all, not the default), or `UNSET`, the default `$`."""

INTERVAL_S_DEFAULT: Final = 1
MAX_ATTEMPTS_DEFAULT: Final = 3
BACKOFF_RATE_DEFAULT: Final = 2.0
TIMEOUT_S_MAX: Final = 99_999_999
"""How long a task may take that has no TimeoutSeconds, and the most that any number of seconds may be."""


class Retrier(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """One member of Retry: after which errors the state is tried again, and when."""

    error_equals: tuple[str, ...]
    interval_seconds: int | float | None = None
    max_attempts: int | float | None = None
    backoff_rate: int | float | None = None
    max_delay_seconds: int | float | None = None
    jitter_strategy: str | None = None
    comment: str | None = None

    def delay_s(self, retries: int) -> float:
        """Return the longest wait before the next attempt, after so many retries (0: none yet). FULL jitter draws up to it."""
        first = INTERVAL_S_DEFAULT if self.interval_seconds is None else self.interval_seconds
        rate = BACKOFF_RATE_DEFAULT if self.backoff_rate is None else self.backoff_rate
        try:
            delay = float(first * rate**retries)
        except OverflowError:
            delay = float(TIMEOUT_S_MAX)
        return min(delay, self.max_delay_seconds or TIMEOUT_S_MAX)

    @property
    def attempts_max(self) -> int:
        """How often the state may be tried again; 0 is never."""
        return MAX_ATTEMPTS_DEFAULT if self.max_attempts is None else int(self.max_attempts)

    @property
    def full_jitter(self) -> bool:
        return self.jitter_strategy == "FULL"


class Catcher(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """One member of Catch: where the run goes on after these errors, and with what."""

    error_equals: tuple[str, ...]
    next: str
    result_path: MaybePath = UNSET
    output: Payload = UNSET
    assign: Mapping[str, Payload] | None = None
    comment: str | None = None


class State(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal", tag_field="Type"):
    """What every state may have. Which of it a type may have is told by `core/asl/grammar.py`."""

    comment: str | None = None
    query_language: QueryLanguage | None = None
    input_path: MaybePath = UNSET
    output_path: MaybePath = UNSET
    output: Payload = UNSET
    assign: Mapping[str, Payload] | None = None

    @property
    def type(self) -> str:
        """The state's type, as the document writes it."""
        return type(self).__name__


class Task(State, frozen=True, kw_only=True, tag="Task"):
    """Work that is done elsewhere: by an agent, a Lambda function, a service, an activity.

    A `resource` of None is a hole that a template has left (`!GetAtt Function.Arn`): to be filled before the machine can run.
    """

    resource: str | None
    parameters: Payload = UNSET
    arguments: Payload = UNSET
    result_selector: Payload = UNSET
    result_path: MaybePath = UNSET
    timeout_seconds: Amount | None = None
    timeout_seconds_path: str | None = None
    heartbeat_seconds: Amount | None = None
    heartbeat_seconds_path: str | None = None
    credentials: Payload = UNSET
    retry: tuple[Retrier, ...] = ()
    catch: tuple[Catcher, ...] = ()
    next: str | None = None
    end: bool = False


class Pass(State, frozen=True, kw_only=True, tag="Pass"):
    """Hands on its input, or a constant (`result`), or what `parameters` or `output` make of it."""

    result: Any = UNSET
    parameters: Payload = UNSET
    result_path: MaybePath = UNSET
    next: str | None = None
    end: bool = False


class Choice(State, frozen=True, kw_only=True, tag="Choice"):
    """Goes where the first rule that holds says."""

    choices: tuple[ChoiceRule, ...]
    default: str | None = None


class Wait(State, frozen=True, kw_only=True, tag="Wait"):
    """Waits for some time, or until a time."""

    seconds: Amount | None = None
    seconds_path: str | None = None
    timestamp: str | None = None
    timestamp_path: str | None = None
    next: str | None = None
    end: bool = False


class Succeed(State, frozen=True, kw_only=True, tag="Succeed"):
    """Ends the run, or this branch of it, well."""


class Fail(State, frozen=True, kw_only=True, tag="Fail"):
    """Ends the run with an error."""

    error: str | None = None
    error_path: str | None = None
    cause: str | None = None
    cause_path: str | None = None


class Branch(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """One of the machines that a Parallel state runs side by side."""

    start_at: str
    states: "Mapping[str, AnyState]"
    comment: str | None = None


class Parallel(State, frozen=True, kw_only=True, tag="Parallel"):
    """Runs its branches on the same input; the result is the list of their outputs."""

    branches: tuple[Branch, ...]
    parameters: Payload = UNSET
    arguments: Payload = UNSET
    result_selector: Payload = UNSET
    result_path: MaybePath = UNSET
    retry: tuple[Retrier, ...] = ()
    catch: tuple[Catcher, ...] = ()
    next: str | None = None
    end: bool = False


class ProcessorConfig(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """How the items of a Map are worked on: inside of the run (INLINE), or each in a run of its own (DISTRIBUTED)."""

    mode: str | None = None
    execution_type: str | None = None


class Processor(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """The machine that a Map state runs for each item, or for each batch of them."""

    start_at: str
    states: "Mapping[str, AnyState]"
    processor_config: ProcessorConfig | None = None
    comment: str | None = None


class ReaderConfig(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """How an object is read into items."""

    input_type: str | None = None
    transformation: str | None = None
    manifest_type: str | None = None
    csv_header_location: str | None = field(default=None, name="CSVHeaderLocation")
    csv_headers: tuple[str, ...] | str | None = field(default=None, name="CSVHeaders")
    csv_delimiter: str | None = field(default=None, name="CSVDelimiter")
    items_pointer: str | None = None
    max_items: Amount | None = None
    max_items_path: str | None = None


class ItemReader(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """Where a distributed Map reads its items, instead of from its input."""

    resource: str
    parameters: Payload = UNSET
    arguments: Payload = UNSET
    reader_config: ReaderConfig | None = None
    comment: str | None = None


class ItemBatcher(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """How many items one child of a distributed Map gets at most."""

    max_items_per_batch: Amount | None = None
    max_items_per_batch_path: str | None = None
    max_input_bytes_per_batch: Amount | None = None
    max_input_bytes_per_batch_path: str | None = None
    batch_input: Payload = UNSET
    comment: str | None = None


class WriterConfig(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """The form of what a distributed Map writes."""

    transformation: str | None = None
    output_type: str | None = None


class ResultWriter(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """Where a distributed Map writes the results of its children, instead of into its output."""

    resource: str | None = None
    parameters: Payload = UNSET
    arguments: Payload = UNSET
    writer_config: WriterConfig | None = None
    comment: str | None = None


class Map(State, frozen=True, kw_only=True, tag="Map"):
    """Runs a machine for each item of a list, an object or a file: `item_processor` or, in older documents, `iterator`."""

    item_processor: Processor | None = None
    iterator: Processor | None = None
    items: Payload = UNSET
    items_path: str | None = None
    item_reader: ItemReader | None = None
    item_selector: Payload = UNSET
    item_batcher: ItemBatcher | None = None
    result_writer: ResultWriter | None = None
    parameters: Payload = UNSET
    result_selector: Payload = UNSET
    result_path: MaybePath = UNSET
    max_concurrency: Amount | None = None
    max_concurrency_path: str | None = None
    tolerated_failure_count: Amount | None = None
    tolerated_failure_count_path: str | None = None
    tolerated_failure_percentage: Amount | None = None
    tolerated_failure_percentage_path: str | None = None
    label: str | None = None
    retry: tuple[Retrier, ...] = ()
    catch: tuple[Catcher, ...] = ()
    next: str | None = None
    end: bool = False

    @property
    def processor(self) -> Processor:
        """What is run for each item, under whichever of its two names it stands."""
        found = self.item_processor or self.iterator
        assert found is not None, "a Map without ItemProcessor has a finding, and is not run"
        return found

    @property
    def distributed(self) -> bool:
        config = self.processor.processor_config
        return config is not None and config.mode == "DISTRIBUTED"

    @property
    def selector(self) -> Payload:
        """The template of each item's input: ItemSelector or, in older documents, Parameters."""
        return self.parameters if self.item_selector is UNSET else self.item_selector


AnyState: TypeAlias = Task | Pass | Choice | Wait | Succeed | Fail | Parallel | Map
"""One of the eight types: `match` on it is complete."""


class Machine(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """A whole state machine."""

    start_at: str
    states: Mapping[str, AnyState]
    comment: str | None = None
    query_language: QueryLanguage | None = None
    timeout_seconds: int | float | None = None
    version: str | None = None

    def language(self, state: State) -> QueryLanguage:
        """Return what a state's expressions are written in, at any depth: its own QueryLanguage or else the machine's."""
        return state.query_language or self.query_language or JSONPATH


Scope: TypeAlias = Machine | Branch | Processor
"""What has states of its own, between which transitions go."""

Part = TypeVar("Part")


def children(state: State) -> tuple[Branch | Processor, ...]:
    """Return the scopes inside of a state, in their order: a Parallel's branches, a Map's processor, none for others."""
    match state:
        case Parallel():
            return state.branches
        case Map():
            return (state.processor,)
        case _:
            return ()


def from_document(document: object, kind: type[Part] = Machine) -> Part:
    """Return the typed form of a document, or of a part of one (`AnyState`, `Branch`, ...), that has no findings.

    Raise `msgspec.ValidationError` otherwise: see `parse`, which says all that is wrong.
    """
    return msgspec.convert(document, kind)


def to_document(part: Struct) -> dict[str, Any]:
    """Return the document that a machine, a state or another part stands for, as JSON-like values: `json.dumps` prints it."""
    return msgspec.json.decode(msgspec.json.encode(part))  # through text, so that what was a list is one again
