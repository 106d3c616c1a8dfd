"""Durable, event-driven multi-agent AI workflows with real-time vector memory.

    from penstock import App, Context, Event

Everything that an app needs is named here; each name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.app import App as App
    from penstock.app import Running as Running
    from penstock.core.agents.approvals import Approval as Approval
    from penstock.core.agents.flow import Concurrency as Concurrency
    from penstock.core.agents.flow import Flow as Flow
    from penstock.core.agents.flow import Rate as Rate
    from penstock.core.agents.machine_events import TaskInput as TaskInput
    from penstock.core.agents.pieces import Piece as Piece
    from penstock.core.agents.pieces import standing as standing
    from penstock.core.agents.policy import Retry as Retry
    from penstock.core.agents.resources import Resources as Resources
    from penstock.core.agents.retention import Keep as Keep
    from penstock.core.agents.retention import Retention as Retention
    from penstock.core.agents.tools import NOT_DONE as NOT_DONE
    from penstock.core.agents.tools import Attempt as Attempt
    from penstock.core.agents.tools import Reconcile as Reconcile
    from penstock.core.agents.tools import Skip as Skip
    from penstock.core.agents.tools import tool as tool
    from penstock.core.asl.services.http_calls import Connection as Connection
    from penstock.core.asl.services.http_calls import OAuth as OAuth
    from penstock.core.crdt.counters import GCounter as GCounter
    from penstock.core.crdt.counters import LWWRegister as LWWRegister
    from penstock.core.crdt.counters import PNCounter as PNCounter
    from penstock.core.crdt.sets import GSet as GSet
    from penstock.core.crdt.sets import ORSet as ORSet
    from penstock.core.events.event import Event as Event
    from penstock.core.knowledge.chunking import Document as Document
    from penstock.core.knowledge.events import KnowledgeEvent as KnowledgeEvent
    from penstock.core.knowledge.generation_events import VerifyKnowledge as VerifyKnowledge
    from penstock.core.knowledge.memories import Recalled as Recalled
    from penstock.core.knowledge.memories import RecallWeights as RecallWeights
    from penstock.core.knowledge.passages import Passage as Passage
    from penstock.core.knowledge.tokens import Written as Written
    from penstock.core.knowledge.uses import KnowledgeUsed as KnowledgeUsed
    from penstock.core.routing.router import Routed as Routed
    from penstock.core.rules.targets import Target as Target
    from penstock.core.streams.plan import StreamOptions as StreamOptions
    from penstock.core.streams.values import Embedded as Embedded
    from penstock.core.streams.values import Joined as Joined
    from penstock.core.streams.values import Pair as Pair
    from penstock.core.streams.values import Pane as Pane
    from penstock.core.streams.values import Stamped as Stamped
    from penstock.core.streams.windows import Sessions as Sessions
    from penstock.core.streams.windows import Sliding as Sliding
    from penstock.core.streams.windows import Tumbling as Tumbling
    from penstock.ports.state import DeadFilter as DeadFilter
    from penstock.runtime.addressing import Message as Message
    from penstock.runtime.asking_again import Signature as Signature
    from penstock.runtime.context import Context as Context
    from penstock.runtime.hearing import Listener as Listener
    from penstock.runtime.knowledge import Knowledge as Knowledge
    from penstock.runtime.machine_tasks import TaskFailed as TaskFailed
    from penstock.runtime.memories import Memories as Memories
    from penstock.runtime.pipelines import Stream as Stream
    from penstock.runtime.pipelines import Windowed as Windowed
    from penstock.runtime.replaying import Stretch as Stretch
    from penstock.runtime.routers import Router as Router
    from penstock.runtime.workflow_context import WorkflowContext as WorkflowContext

__version__ = "0.1.0"
__all__ = [
    "NOT_DONE",
    "App",
    "Approval",
    "Attempt",
    "Concurrency",
    "Connection",
    "Context",
    "DeadFilter",
    "Document",
    "Embedded",
    "Event",
    "Flow",
    "GCounter",
    "GSet",
    "Joined",
    "Keep",
    "Knowledge",
    "KnowledgeEvent",
    "KnowledgeUsed",
    "LWWRegister",
    "Listener",
    "Memories",
    "Message",
    "OAuth",
    "ORSet",
    "PNCounter",
    "Pair",
    "Pane",
    "Passage",
    "Piece",
    "Rate",
    "RecallWeights",
    "Recalled",
    "Reconcile",
    "Resources",
    "Retention",
    "Retry",
    "Routed",
    "Router",
    "Running",
    "Sessions",
    "Signature",
    "Skip",
    "Sliding",
    "Stamped",
    "Stream",
    "StreamOptions",
    "Stretch",
    "Target",
    "TaskFailed",
    "TaskInput",
    "Tumbling",
    "VerifyKnowledge",
    "Windowed",
    "WorkflowContext",
    "Written",
    "__version__",
    "standing",
    "tool",
]

_HOME = {
    "OAuth": "penstock.core.asl.services.http_calls",
    "Connection": "penstock.core.asl.services.http_calls",
    "Message": "penstock.runtime.addressing",
    "Target": "penstock.core.rules.targets",
    "NOT_DONE": "penstock.core.agents.tools",
    "App": "penstock.app",
    "Approval": "penstock.core.agents.approvals",
    "Attempt": "penstock.core.agents.tools",
    "Concurrency": "penstock.core.agents.flow",
    "Context": "penstock.runtime.context",
    "Event": "penstock.core.events.event",
    "Flow": "penstock.core.agents.flow",
    "GCounter": "penstock.core.crdt.counters",
    "GSet": "penstock.core.crdt.sets",
    "LWWRegister": "penstock.core.crdt.counters",
    "ORSet": "penstock.core.crdt.sets",
    "PNCounter": "penstock.core.crdt.counters",
    "Keep": "penstock.core.agents.retention",
    "Knowledge": "penstock.runtime.knowledge",
    "Listener": "penstock.runtime.hearing",
    "Document": "penstock.core.knowledge.chunking",
    "KnowledgeEvent": "penstock.core.knowledge.events",
    "KnowledgeUsed": "penstock.core.knowledge.uses",
    "Written": "penstock.core.knowledge.tokens",
    "Memories": "penstock.runtime.memories",
    "Passage": "penstock.core.knowledge.passages",
    "RecallWeights": "penstock.core.knowledge.memories",
    "Recalled": "penstock.core.knowledge.memories",
    "Piece": "penstock.core.agents.pieces",
    "Rate": "penstock.core.agents.flow",
    "Reconcile": "penstock.core.agents.tools",
    "Resources": "penstock.core.agents.resources",
    "Retention": "penstock.core.agents.retention",
    "Retry": "penstock.core.agents.policy",
    "Routed": "penstock.core.routing.router",
    "Router": "penstock.runtime.routers",
    "Running": "penstock.app",
    "Skip": "penstock.core.agents.tools",
    "DeadFilter": "penstock.ports.state",
    "Embedded": "penstock.core.streams.values",
    "Joined": "penstock.core.streams.values",
    "Pair": "penstock.core.streams.values",
    "Pane": "penstock.core.streams.values",
    "Stamped": "penstock.core.streams.values",
    "Sessions": "penstock.core.streams.windows",
    "Sliding": "penstock.core.streams.windows",
    "Tumbling": "penstock.core.streams.windows",
    "Stream": "penstock.runtime.pipelines",
    "StreamOptions": "penstock.core.streams.plan",
    "Windowed": "penstock.runtime.pipelines",
    "Signature": "penstock.runtime.asking_again",
    "Stretch": "penstock.runtime.replaying",
    "TaskFailed": "penstock.runtime.machine_tasks",
    "TaskInput": "penstock.core.agents.machine_events",
    "VerifyKnowledge": "penstock.core.knowledge.generation_events",
    "WorkflowContext": "penstock.runtime.workflow_context",
    "standing": "penstock.core.agents.pieces",
    "tool": "penstock.core.agents.tools",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
