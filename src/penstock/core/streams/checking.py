"""All that is wrong with a pipeline, before anything of it runs."""

from collections import Counter

from penstock.core.events.event import Event
from penstock.core.streams.plan import EFFECTS, Cut, Fold, JoinStream, Node, Stage, stages_of
from penstock.core.streams.windows import Sessions
from penstock.errors import Finding


def declared_findings(source: object, of: object) -> tuple[type[Event] | None, list[Finding]]:
    """Return the class of a stream's events, and what is wrong with how it was named."""
    hint = "app.stream(Request), or app.stream('raw-requests', of=Request)"
    event: object = of if isinstance(source, str) else source
    if not (isinstance(event, type) and issubclass(event, Event)):
        return None, [Finding("of" if isinstance(source, str) else "source", f"is {event!r}", hint)]
    found: type[Event] = event
    if isinstance(source, str) and found.topic_ != source:
        problem = f"is {found.__name__}, whose topic is {found.topic_!r} and not {source!r}"
        return None, [Finding("of", problem, f"class {found.__name__}(Event, topic={source!r})")]
    return found, []


def stream_findings(source: Node) -> list[Finding]:
    """Return what is wrong with a pipeline as a whole."""
    stages = stages_of(source)
    return [finding for stage in stages for finding in _stage_findings(stage, stages[0].name)]


def _stage_findings(stage: Stage, stream: str) -> list[Finding]:
    findings: list[Finding] = []
    if stage.is_first and stage.source.event.key_ is None:
        hint = f"call key_by(...) before it, or declare class {stage.source.event.__name__}(Event, key=FIELD)"
        joins = [each.does.name for each in stage.nodes() if isinstance(each.does, JoinStream)]
        findings += [Finding(f"{stream}.{name}", "is a join of values without a key", hint) for name in joins]
    names = Counter(each.does.name for each in stage.cuts() if isinstance(each.does, Cut))
    for name, count in names.items():
        if count > 1:
            findings.append(Finding(f"{stream}.{name}", "is the name of two windows", "give window(..., name=...)"))
    for node in stage.nodes():
        if id(node) in stage.targets or _does_something(node):
            findings += _cut_findings(node, stage, stream) if isinstance(node.does, Cut) else []
            continue
        if not node.children:
            problem, hint = "goes nowhere", "end it with .to(EventClass) or .index(...)"
            findings.append(Finding(f"{stream}.{type(node.does).__name__.lower()}", problem, hint))
    return findings


def _does_something(node: Node) -> bool:
    return isinstance(node.does, EFFECTS) or bool(node.children)


def _cut_findings(node: Node, stage: Stage, stream: str) -> list[Finding]:
    does, findings = node.does, list[Finding]()
    assert isinstance(does, Cut), does
    path = f"{stream}.{does.name}"
    if stage.is_first and stage.source.event.key_ is None:
        hint = f"call key_by(...) first, or declare class {stage.source.event.__name__}(Event, key=FIELD)"
        findings.append(Finding(path, "has no key", hint))
    folds = [each.does for each in node.children if isinstance(each.does, Fold)]
    if not folds:
        findings.append(Finding(path, "is never made anything of", "call .count(), .fold(...) or .collect()"))
    for name, count in Counter(each.name for each in folds).items():
        if count > 1:
            findings.append(Finding(f"{path}.{name}", "is the name of two folds", "give name=..."))
    if isinstance(does.window, Sessions):
        findings += [
            Finding(f"{path}.{each.name}", "cannot be merged, and sessions merge", "give fold(..., merge=...)")
            for each in folds
            if each.merge is None
        ]
    return findings
