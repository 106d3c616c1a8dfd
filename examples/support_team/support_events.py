"""The support team, led by events alone: who hears a fact, asks the next one; a builder puts together what belongs to one plan.

Nobody here knows the whole way, so a colleague can be added without changing the others. What a state machine does with Catch and
TimeoutSeconds, the builder does with a timer: what is not there in time is missing, and the answer says so.
"""

import os
from pathlib import Path

from pydantic import BaseModel
from support_agents import (
    SPECIALISTS,
    AnswerReady,
    DocsRetrieved,
    Find,
    MoodFound,
    OpenTicket,
    PlanCreated,
    Received,
    Summarize,
    TicketOpened,
    UserMessage,
    ValidationComplete,
)

from penstock import App, Context, Event, Retry, Target, WorkflowContext

HERE = Path(__file__).parent
TEAM_S = 20.0
DESK_S = 20.0
ANSWER_S = 120.0

app = App("support-events", prompts=HERE / "prompts")
app.knowledge("handbook", documents=os.environ.get("SUPPORT_HANDBOOK", HERE / "handbook"))
app.knowledge("asked")
for specialist in SPECIALISTS:
    app.agent(retry=Retry(attempts_max=3, delay_s=0.5, delay_max_s=5), timeout_s=30)(specialist)


# The rules: which fact goes to whom, and what of it. They are EventBridge's: patterns, input paths, input transformers.

OF_RECEIVED = {"plan": "$.detail.plan_id", "session": "$.detail.session_id", "text": "$.detail.text"}


def of_received(agent: str, template: str) -> Target:
    return Target(f"agent:{agent}", input_transformer={"InputPathsMap": OF_RECEIVED, "InputTemplate": template})


app.rule("message", bus="app", pattern={"detail-type": ["UserMessage"]}, targets="agent:receptionist")
app.rule(
    "received",
    bus="app",
    pattern={"detail-type": ["Received"], "detail": {"is_new": [True]}},
    targets=[
        of_received("planner", '{"plan_id": <plan>, "session_id": <session>, "text": <text>}'),
        of_received("validator", '{"plan_id": <plan>, "text": <text>}'),
        of_received("sentiment", '{"plan_id": <plan>, "text": <text>}'),
    ],
)


# A rule makes one request of a fact; where one fact leads to several, an agent makes them.


@app.agent
async def on_plan(plan: PlanCreated) -> list[Find]:
    return [
        Find(plan_id=plan.plan_id, number=number, question=question) for number, question in enumerate(plan.questions)
    ]


# The builder.


class Overdue(Event, key="plan_id"):
    """The time of a stage is over."""

    plan_id: str
    stage: str


class Board(BaseModel):
    """What is known of one plan."""

    stage: str = "team"  # then desk, then done
    message: Received | None = None
    plan: PlanCreated | None = None
    found: dict[int, DocsRetrieved] = {}
    checked: ValidationComplete | None = None
    felt: MoodFound | None = None
    ticket: TicketOpened | None = None

    def note(self, fact: Event) -> None:
        match fact:
            case Received():
                self.message = fact
            case PlanCreated():
                self.plan = fact
            case DocsRetrieved():
                self.found[fact.number] = fact
            case ValidationComplete():
                self.checked = fact
            case MoodFound():
                self.felt = fact
            case TicketOpened():
                self.ticket = fact
            case _:
                pass

    @property
    def missing(self) -> list[str]:
        missing = {
            "the planner": self.plan is None,
            "the handbook": self.plan is None or len(self.found) < len(self.plan.questions),
            "the policy check": self.checked is None,
            "a feeling for the mood": self.felt is None,
            "the ticket desk": self.stage == "desk" and self.ticket is None,
        }
        return [name for name, is_missing in missing.items() if is_missing]

    @property
    def reasons(self) -> dict[str, object]:
        """Why a person must see to it: what nobody checked, a person sees."""
        return {
            "plan": self.plan.ticket_for if self.plan else "",
            "policy": self.checked.reasons if self.checked else ["nobody could check it"],
            "mood": self.felt.mood if self.felt else "calm",
        }

    @property
    def needs_a_person(self) -> bool:
        return self.reasons != {"plan": "", "policy": [], "mood": "calm"}


@app.agent(key="plan_id")
async def builder(
    news: Received | PlanCreated | DocsRetrieved | ValidationComplete | MoodFound | TicketOpened | Overdue, ctx: Context
) -> OpenTicket | Summarize | None:
    board = await ctx.values.get("board", Board(), to=Board)
    if board.stage == "done" or (isinstance(news, Received) and not news.is_new):
        return None
    board.note(news)
    if isinstance(news, Received):
        ctx.emit(Overdue(plan_id=news.plan_id, stage="team"), after_s=TEAM_S, timer="overdue")
    request = next_request(board, overdue=isinstance(news, Overdue) and news.stage == board.stage)
    match request:
        case OpenTicket():
            board.stage = "desk"
            ctx.emit(Overdue(plan_id=request.plan_id, stage="desk"), after_s=DESK_S, timer="overdue")
        case Summarize():
            board = Board(stage="done")
            ctx.cancel_timer("overdue")
        case None:
            pass
    await ctx.values.set("board", board)
    return request


def next_request(board: Board, *, overdue: bool) -> OpenTicket | Summarize | None:
    """Return what is to be done with what is known; nothing while there is something to wait for."""
    message = board.message
    if message is None or (not overdue and (board.missing if board.stage == "team" else board.ticket is None)):
        return None
    if board.stage == "team" and board.needs_a_person:
        return OpenTicket(plan_id=message.plan_id, session_id=message.session_id, text=message.text, **board.reasons)
    return Summarize(
        plan_id=message.plan_id,
        session_id=message.session_id,
        message_id=message.message_id,
        text=message.text,
        found=[each.model_dump() for _, each in sorted(board.found.items())],
        mood=board.felt.mood if board.felt else "calm",
        ticket=board.ticket.ticket if board.ticket else "",
        missing=board.missing,
    )


# The response: whoever asks over HTTP waits for this run.


@app.workflow
async def reply(message: UserMessage, ctx: WorkflowContext) -> dict[str, object]:
    wanted = {"session_id": message.session_id, "message_id": message.message_id}
    answer = await ctx.wait_for(AnswerReady, match=wanted, timeout_s=ANSWER_S)
    return answer.model_dump()
