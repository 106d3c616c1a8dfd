"""Rules: which events go where, with what, how often, whatever dies; and what is refused when the app starts."""

import json

import pytest

from penstock import App, Event, Retry, Target, TaskInput, testing
from penstock.core.rules.bus_events import BusEvent, TargetDue
from penstock.errors import Invalid, RunFailed


class OrderPlaced(Event, topic="orders", key="id"):
    id: str
    total: int


class Alert(Event, topic="alerts"):
    text: str


class Audited(Event, key="id"):
    id: str


PLACED = {"Source": "till", "DetailType": "OrderPlaced", "Detail": {"id": "7", "total": 120}}
BIG = {"detail-type": ["OrderPlaced"], "detail": {"total": [{"numeric": [">", 100]}]}}


class Shop:
    def __init__(self) -> None:
        self.app = App("shop", events=[OrderPlaced, Alert])
        self.seen: list[tuple] = []

        @self.app.agent
        async def bill(order: OrderPlaced) -> None:
            self.seen.append(("bill", order.id, order.total))

        @self.app.agent
        async def warn(alert: Alert) -> None:
            self.seen.append(("warn", alert.text))

        @self.app.agent(retry=Retry(attempts_max=1))
        async def audit(audited: Audited) -> None:
            self.seen.append(("audit", audited.id))

        self.bill, self.warn, self.audit = bill, warn, audit

    async def put(self, *entries, disk=None, id=None):
        async with testing.app(self.app, disk=disk) as live:
            answer = await live.put_events(list(entries), id=id)
            await live.settled()
            self.letters = [(each.agent, each.reason) for each in await live.dead_letters()]
            return answer


@pytest.fixture
def shop():
    return Shop()


async def test_an_event_goes_to_all_targets_of_all_rules_that_it_matches(shop):
    shop.app.rule("all", pattern={"source": ["till"]}, targets=[shop.bill, Target("agent:audit", input={"id": "x"})])
    words = {"InputPathsMap": {"id": "$.detail.id"}, "InputTemplate": '{"text": "<id> by <aws.events.rule-name>"}'}
    shop.app.rule("big", pattern=BIG, targets=Target("topic:alerts", input_transformer=words))
    shop.app.rule("none", pattern={"source": ["web"]}, targets=shop.bill)
    shop.app.rule("off", pattern=BIG, targets=shop.bill, enabled=False)
    answer = await shop.put(PLACED)
    assert answer["FailedEntryCount"] == 0
    assert len(answer["Entries"][0]["EventId"]) == 36
    assert sorted(shop.seen) == [("audit", "x"), ("bill", "7", 120), ("warn", "7 by big")]
    assert shop.letters == []


async def test_a_target_without_an_input_gets_the_detail(shop):
    shop.app.rule("big", pattern=BIG, targets=OrderPlaced)
    await shop.put(PLACED)
    assert shop.seen == [("bill", "7", 120)]


async def test_a_rule_watches_its_own_bus_alone(shop):
    shop.app.rule("big", pattern=BIG, targets=shop.bill, bus="web")
    await shop.put(PLACED, {**PLACED, "EventBusName": "arn:aws:events:eu-west-1:1:event-bus/web"})
    assert len(shop.seen) == 1


async def test_what_is_put_wrongly_is_told_and_the_rest_is_taken(shop):
    shop.app.rule("big", pattern=BIG, targets=shop.bill)
    answer = await shop.put(PLACED, {"Source": "x"}, {**PLACED, "EventBusName": "app"})
    assert [each.get("ErrorCode") for each in answer["Entries"]] == [None, "InvalidArgument", "InvalidArgument"]
    assert len(shop.seen) == 1


async def test_the_same_call_twice_puts_its_events_once(shop):
    shop.app.rule("big", pattern=BIG, targets=shop.bill)
    disk = testing.Disk()
    assert await shop.put(PLACED, disk=disk, id="call") == await shop.put(PLACED, disk=disk, id="call")
    assert len(shop.seen) == 1


async def test_the_events_of_the_app_are_on_a_bus_of_their_own(shop):
    pattern = {"detail-type": ["OrderPlaced"], "source": ["shop"], "detail": {"total": [{"numeric": [">", 100]}]}}
    shop.app.rule("big", pattern=pattern, targets=Target("agent:audit", input_path="$.detail.id"), bus="app")
    words = {"InputPathsMap": {"id": "$.detail.id"}, "InputTemplate": '{"id": <id>}'}
    shop.app.rule("audit", pattern=pattern, targets=Target("agent:audit", input_transformer=words), bus="app")
    async with testing.app(shop.app) as live:
        await live.send(OrderPlaced(id="7", total=120))
        await live.send(OrderPlaced(id="8", total=20))
        await live.settled()
        letters = await live.dead_letters()
    assert sorted(shop.seen) == [("audit", "7"), ("bill", "7", 120), ("bill", "8", 20)]
    assert [each.agent for each in letters] == ["rule.big.audit"]


async def test_what_fits_nobody_is_a_dead_letter_of_the_target_and_the_others_get_theirs(shop):
    shop.app.rule("big", pattern=BIG, targets=[shop.audit, shop.bill])
    await shop.put(PLACED)
    assert shop.seen == [("bill", "7", 120)]
    ((agent, reason),) = shop.letters
    assert agent == "rule.big.audit"
    assert "Audited.total: Extra inputs are not permitted" in reason


async def test_a_dead_letter_of_a_target_is_redriven_once_the_rule_is_mended(shop):
    disk = testing.Disk()
    shop.app.rule("big", pattern=BIG, targets=shop.audit)
    await shop.put(PLACED, disk=disk)
    mended = Shop()
    words = {"InputPathsMap": {"id": "$.detail.id"}, "InputTemplate": '{"id": <id>}'}
    mended.app.rule("big", pattern=BIG, targets=Target("agent:audit", input_transformer=words))
    async with testing.app(mended.app, disk=disk) as live:
        (letter,) = await live.dead_letters()
        await live.redrive(letter.run_id)
        await live.settled()
    assert mended.seen == [("audit", "7")]


async def test_a_machine_is_a_target_that_takes_any_input(shop):
    @shop.app.agent
    async def note(given: TaskInput) -> None:
        shop.seen.append(("note", given.input))

    task = {"Type": "Task", "Resource": "agent:note", "End": True}
    flow = shop.app.workflow("flow", definition={"StartAt": "Note", "States": {"Note": task}})
    shop.app.rule(
        "big", pattern=BIG, targets=[flow, Target("workflow:flow", input_path="$.detail.total", name="again")]
    )
    await shop.put(PLACED)
    assert sorted(shop.seen, key=str) == [("note", 120), ("note", {"id": "7", "total": 120})]


async def test_a_machine_puts_events_that_rules_give_on(shop):
    put = {
        "Type": "Task",
        "Resource": "arn:aws:states:::events:putEvents",
        "Parameters": {"Entries": [PLACED]},
        "End": True,
    }
    flow = shop.app.workflow("flow", definition={"StartAt": "Put", "States": {"Put": put}})
    shop.app.rule("big", pattern=BIG, targets=shop.bill)
    async with testing.app(shop.app) as live:
        output = await live.result(await live.start("flow", flow.input()))
        await live.settled()
        (event,) = await live.events(BusEvent)
    assert output["FailedEntryCount"] == 0
    assert event.resources[0] == "flow"
    assert shop.seen == [("bill", "7", 120)]


async def test_a_machine_whose_entry_fails_fails_as_on_aws(shop):
    wrong = {"Source": "x", "DetailType": "y", "Detail": '"text"'}
    put = {
        "Type": "Task",
        "Resource": "arn:aws:states:::events:putEvents",
        "Parameters": {"Entries": [PLACED, wrong]},
        "End": True,
    }
    flow = shop.app.workflow("flow", definition={"StartAt": "Put", "States": {"Put": put}})
    async with testing.app(shop.app) as live:
        with pytest.raises(RunFailed) as failed:
            await live.result(await live.start("flow", flow.input()))
    assert failed.value.reason.startswith("EventBridge.FailedEntry: ")
    told = json.loads(failed.value.reason.partition(": ")[2])
    assert told["Entries"][1] == {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}


async def test_a_loop_of_rules_and_machines_ends_in_the_dead_letters(shop):
    put = {
        "Type": "Task",
        "Resource": "arn:aws:states:::events:putEvents",
        "Parameters": {"Entries": [PLACED]},
        "End": True,
    }
    flow = shop.app.workflow("flow", definition={"StartAt": "Put", "States": {"Put": put}})
    shop.app.rule("again", pattern=BIG, targets=flow)
    async with testing.app(shop.app) as live:
        await live.put_events([PLACED])

        async def ended() -> bool:
            reasons = [run.reason for run in await live.runs()]
            return any("the number of hops since the first event is 65, at most 64" in reason for reason in reasons)

        await live.engine.services.committer.until(ended)
        assert len(await live.events(BusEvent)) == 33


@pytest.mark.parametrize("point", ["after append", "before commit", "during commit", "after commit", "after handling"])
@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_each_target_gets_an_event_once_whatever_dies(shop, point, nth):
    shop.app.rule("all", pattern=BIG, targets=[shop.bill, Target("topic:alerts", input={"text": "big"})])
    disk = testing.Disk()
    try:
        async with testing.app(shop.app, disk=disk) as live, live.crash_at(point, nth):
            await live.put_events([PLACED], id="call")
    except testing.NotReached:
        assert nth > 1
    async with testing.app(shop.app, disk=disk) as live:
        await live.put_events([PLACED], id="call")
        await live.settled()
        assert len(await live.events(OrderPlaced)) == len(await live.events(Alert)) == 1


async def test_events_of_one_key_reach_a_target_in_order(shop):
    words = {"InputPathsMap": {"id": "$.detail.id"}, "InputTemplate": '{"text": "<id>"}'}
    shop.app.rule(
        "all",
        pattern={"detail-type": ["OrderPlaced"]},
        targets=Target("topic:alerts", input_transformer=words),
        bus="app",
    )
    async with testing.app(shop.app) as live:
        for number in range(50):
            await live.send(OrderPlaced(id=f"{number}", total=number), key="one")
        await live.settled()
    assert [each[1] for each in shop.seen if each[0] == "warn"] == [f"{number}" for number in range(50)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pattern": {"detail": "x"}}, "pattern"),
        ({"pattern": ["x"]}, "pattern: is"),
        ({"targets": []}, "targets: are 0"),
        ({"targets": ["agent:audit", "agent:audit"]}, "'audit' is the name of several"),
        ({"targets": "nobody:x"}, "to: is 'nobody:x'"),
        ({"targets": "https:///path"}, "names no host"),
        ({"bus": "a b"}, "bus: is 'a b'"),
        ({"color": "red"}, "color: is no option of a rule"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_what_is_wrong(shop, options, words):
    with pytest.raises(Invalid) as refused:
        shop.app.rule("big", **{"pattern": BIG, "targets": "agent:audit", **options})
    assert words in str(refused.value)


def test_all_that_is_wrong_with_a_target_is_said_at_once():
    with pytest.raises(Invalid) as refused:
        Target("agent:x", input_path="detail", connection="c", timeout_s=0, retry=Retry(attempts_max=0), name="a b")
    assert [each.path for each in refused.value.findings] == [
        "connection",
        "timeout_s",
        "name",
        "retry.attempts_max",
        "input_path",
    ]


@pytest.mark.parametrize(
    ("target", "bus", "words"),
    [
        ("agent:nobody", "default", "the agent 'nobody' is missing"),
        ("topic:nothing", "default", "the topic 'nothing' is missing"),
        ("topic:penstock-runs", "default", "the topic 'penstock-runs' is missing"),
        ("agent:bill", "app", "which the rule matches: it would go round"),
        ("topic:orders", "app", "which the rule matches: it would go round"),
    ],
)
async def test_an_app_whose_rule_reaches_nobody_or_itself_does_not_start(shop, target, bus, words):
    shop.app.rule("big", pattern=BIG, targets=target, bus=bus)
    with pytest.raises(Invalid) as refused:
        await shop.put(PLACED)
    assert words in str(refused.value)


async def test_a_thousand_rules_are_matched_as_one(shop):
    for number in range(1000):
        shop.app.rule(
            f"r{number}",
            pattern={"detail": {"id": [f"{number}"]}},
            targets=Target("agent:audit", input={"id": f"{number}"}),
        )
    await shop.put({**PLACED, "Detail": {"id": "512", "total": 1}})
    assert shop.seen == [("audit", "512")]


def test_nothing_of_a_target_is_asked_before_the_app_runs():
    due = TargetDue(target="rule.big.audit", key="7", document={})
    assert TargetDue.topic_ == "penstock-targets"
    assert due.document == {}
