"""What the pipeline is held to, step after step. Each returns its figures; `AssertionError` says what does not hold."""

import statistics
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter, sleep, time_ns

from pipeline_input import AVRO, JSON_SCHEMA, NARROWER, document_event
from pipeline_load import Load
from pipeline_service import APP, LIBRARY, Client, Failed, Service
from pipeline_stack import damage

BATCH = 50
EACH_WRITE = 20
KILL_AFTER = 40  # documents that were acknowledged
SENDERS = 3
ROUNDING = 1e-4


@dataclass
class Stage:
    """Where all steps take place, and what one leaves for the next."""

    service: Service
    documents: dict[str, str]
    questions: list[str]
    model: str = "spelling"
    load_s: float = 3.0
    say: Callable[[str], None] = lambda _text: None
    passages: int = 0
    moments: list[tuple[str, str, list[list[dict]]]] = field(default_factory=list)  # name, as_of, what was found then

    @property
    def client(self) -> Client:
        return self.service.client

    def require_same(self, found: list[list[dict]], before: list[list[dict]], what: str) -> None:
        """Require that searches found the same; another engine than the one that looks back rounds its scores in another way."""
        for question, now, then in zip(self.questions, found, before, strict=True):
            same = alike(now, then) if self.service.stack else now == then
            assert same, f"{what}: {question!r} finds {shown(now)}, and found {shown(then)}"

    def remember(self, name: str, as_of: str) -> None:
        self.moments.append((name, as_of, self.client.best(self.questions)))


def alike(one: list[dict], other: list[dict]) -> bool:
    """Whether two answers are the same but for rounding: of passages that score as the last one does, others may be there."""
    if len(one) != len(other):
        return False
    near = all(abs(this["score"] - that["score"]) < ROUNDING for this, that in zip(one, other, strict=True))
    here, there = {each["id"] for each in one}, {each["id"] for each in other}
    apart = [each["score"] for each in (*one, *other) if each["id"] not in here & there]
    return near and all(abs(score - one[-1]["score"]) < 2 * ROUNDING for score in apart)


def shown(hits: list[dict]) -> str:
    return ", ".join(f"{each['id']} {each['score']:.5f}" for each in hits)


def take_in(stage: Stage) -> str:
    """Agents outside send what they know as events of S0; sent once more, they change nothing."""
    client = stage.client
    events = [document_event(name, text) for name, text in stage.documents.items()]
    began = perf_counter()
    for start in range(0, len(events), BATCH):
        stage.say(f"{start:,} of {len(events):,} documents")
        client.events(events[start : start + BATCH], "bulk")
    client.refresh()
    took_s = perf_counter() - began
    stage.passages = verified(client)["passages"]
    end = client.end_of_log()
    for start in range(0, len(events), BATCH):
        client.events(events[start : start + BATCH])
    assert client.end_of_log() == end == len(events), "an event that came twice was taken twice"
    assert verified(client)["passages"] == stage.passages
    pace = stage.passages / took_s
    return f"{len(events):,} documents, {stage.passages:,} passages in {took_s:.1f} s ({pace:,.0f}/s); sent again: 0 events more"


def answer_from_it(stage: Stage) -> str:
    """An agent answers from the library; what is found now is kept, to be compared with searches as of now."""
    client = stage.client
    asked = {"who": "ada", "text": stage.questions[0]}
    told = client.post("/v1/agents/answerer", asked, **{"idempotency-key": "ada-1"})
    assert told["status"] == "succeeded", told
    assert told["result"]["passages"], "the answer names no passage"
    stage.remember("the run", told["run_id"])
    stage.remember("offset", str(client.end_of_log()))
    now_ms = time_ns() // 1_000_000
    stage.remember("time", datetime.fromtimestamp(now_ms / 1000, UTC).isoformat())
    while time_ns() // 1_000_000 <= now_ms + 1:  # what comes next has a later time
        sleep(0.001)
    return f"answered from {', '.join(told['result']['passages'])}"


def change(stage: Stage) -> str:
    """Agents of the app create, update and delete; of what an earlier version said nothing is found any more."""
    client = stage.client
    sections = "\n\n".join(
        f"# Part {part}\n\n{f'The old rule number {part} says so at length. ' * 30}" for part in range(4)
    )
    client.report("rules", "rules/refunds", sections)
    old = client.passages_of("rules/refunds")
    assert len(old) > 3, "it was not cut"
    client.report("rules", "rules/refunds", "The new rule: mail ada.lovelace@example.org, card 4111 1111 1111 1111.")
    (new,) = client.passages_of("rules/refunds")
    assert "@" not in new["payload"], new
    assert "4111" not in new["payload"], new
    again = {each["id"] for each in client.search("the old rule says so at length", top_k=100)["results"]}
    left = again & ({each["id"] for each in old} - {new["id"]})
    assert not left, left
    client.report("rules", "rules/refunds")
    assert client.passages_of("rules/refunds") == []
    changed = list(stage.documents)[: max(2, len(stage.documents) // 3)]
    client.events(
        [document_event(name, "Moved. " + stage.documents[name][:1000], edition=2) for name in changed[1:]], "strong"
    )
    client.events([document_event(changed[0], "", edition=2, action="DELETE")], "strong")
    assert client.passages_of(changed[0]) == []
    stale = [each for each in changed[1:] if any("edition" not in one["metadata"] for one in client.passages_of(each))]
    assert not stale, f"passages of old versions: {stale}"
    updated = f"{len(changed) - 1} documents updated, 1 removed"
    return f"{len(old)} passages became 1, then 0; {updated}: 0 passages of old versions found"


def consistency(stage: Stage) -> str:
    """Strong returns when it is found; eventual when it is durable, and its token has a search wait; bulk after one refresh."""
    client = stage.client
    took: dict[str, list[float]] = {"strong": [], "eventual": []}
    for number in range(EACH_WRITE):
        for kind, times in took.items():
            name = f"notes/{kind}-{number}"
            began = perf_counter()
            written = client.events([document_event(name, f"A note on {name}.")], kind)
            times.append((perf_counter() - began) * 1000)
            after = {} if kind == "strong" else {"after": written["token"]}
            found = client.search(name, top_k=5, filter={"document_id": name}, **after)["results"]
            assert found, f"{name} was not found after it was acknowledged"
    client.events(
        [document_event(f"notes/bulk-{n}", f"A note in bulk, number {n}.") for n in range(EACH_WRITE)], "bulk"
    )
    client.refresh()
    assert len(client.search("a note in bulk", top_k=100, mode="words")["results"]) >= EACH_WRITE
    halves = {kind: statistics.median(times) for kind, times in took.items()}
    shown = ", ".join(f"{kind} {half:.1f} ms" for kind, half in halves.items())
    return f"{shown} (median of {EACH_WRITE}), bulk with one refresh; all found as promised"


def from_outside(stage: Stage) -> str:
    """S0's event as Avro and as JSON in Confluent's frame, under schemas of the registry, which refuses what does not fit."""
    from penstock.core.schemas.wire import encode_avro, encode_json

    client = stage.client

    def registered(subject: str, schema: str, kind: str) -> int:
        return client.post(f"/v1/registry/subjects/{subject}/versions", {"schema": schema, "schemaType": kind})["id"]

    avro = registered("knowledge-events-value", AVRO, "AVRO")
    plain = registered("knowledge-events-json-value", JSON_SCHEMA, "JSON")
    for body, name in (
        (encode_avro(avro, AVRO, document_event("outside/avro", "It came as Avro.")), "outside/avro"),
        (encode_json(plain, document_event("outside/json", "It came as JSON.")), "outside/json"),
    ):
        client.ask("POST", f"{LIBRARY}/events?consistency=strong", body, kind="application/octet-stream")
        assert client.passages_of(name), f"{name} is not found"
    refusal = ""
    try:
        registered("knowledge-events-value", NARROWER, "AVRO")
    except Failed as error:
        refusal = str(error)
    assert "422" in refusal, refusal or "a schema that cannot read what was written was registered"
    return f"Avro (schema {avro}) and JSON (schema {plain}) taken; a schema that does not fit refused"


def as_of(stage: Stage) -> str:
    """Searches see the library as it was, at an offset, at a time, when a run began; and a replay of that run does, too."""
    client = stage.client
    now = client.best(stage.questions)
    differing = sum(one != other for one, other in zip(now, stage.moments[0][2], strict=True))
    assert differing, "nothing has changed since, so this would show nothing"
    for name, moment, before in stage.moments:
        stage.say(f"as of the {name}")
        found = client.best(stage.questions, as_of=moment)
        stage.require_same(found, before, f"as of {name} {moment}")
    command = ["replay", str(APP), "--topic", "question", "--fresh-reads", "--store", f"sqlite:{stage.service.store}"]
    code, said = stage.service.command(*command)
    assert code == 0, said
    names = ", ".join(name for name, *_ in stage.moments)
    equal = f"{len(stage.questions)} searches as of {names}: equal"
    return f"{equal} ({differing} find something else now); penstock replay: {said.strip()}"


def change_model(stage: Stage) -> str:
    """Another embedder, while writers and searchers go on: built from the log, compared, switched to, taken back, switched to."""
    client = stage.client
    with Load(stage.service.url, stage.questions) as load:
        load.run_for(stage.load_s / 3)
        load.phase = "building"
        number = client.post(f"{LIBRARY}/generations", {"embedder": stage.model})["generation"]
        state = generation(client, number)
        while state["status"] != "ready":
            assert state["status"] == "building", state
            stage.say(f"building generation {number}: {state['done']:.0%}")
            sleep(0.1)
            state = generation(client, number)
        compared = client.post(f"{LIBRARY}/compare", {"generation": number, "queries": stage.questions})
        for phase, path, body in (
            ("switched", "switch", {"generation": number}),
            ("taken back", "rollback", None),
            ("switched again", "switch", {"generation": number}),
        ):
            client.post(f"{LIBRARY}/{path}", body)
            load.phase = phase
            stage.say(phase)
            load.run_for(stage.load_s / 3)
    client.refresh()
    wrong = [*load.failed, *load.stale]
    assert not wrong, f"{len(load.failed)} failed, {len(load.stale)} stale, the first: {wrong[0]}"
    assert not load.mixed, f"{load.mixed} answers had passages of several editions"
    assert set(load.generations) - {0} == {1, number}, load.generations
    held = f"beside {load.writes:,} writes: failed 0, stale 0"
    phases = ", ".join(f"{count:,} {phase}" for phase, count in load.searches.items())
    p99 = sorted(load.search_ms)[int(len(load.search_ms) * 0.99)]
    shadow = f"in shadow {compared['overlap']:.0%} of the best 10 were the same"
    return f"{sum(load.searches.values()):,} searches ({phases}) {held}; p99 {p99:.0f} ms; {shadow}"


def replay_to_empty(stage: Stage) -> str:
    """The index is made anew, from the log alone: every search finds the same, to the last bit of its score."""
    client = stage.client
    before = client.best(stage.questions)
    number = client.post(f"{LIBRARY}/generations", {"switch": True, "replaces": True})["generation"]
    while (state := generation(client, number))["status"] != "serving":
        assert state["status"] in {"building", "ready"}, state
        stage.say(f"generation {number}: {state['done']:.0%}")
        sleep(0.1)
    after = client.best(stage.questions)
    stage.require_same(after, before, "filled from the log")
    return (
        f"{verified(client)['passages']:,} passages again; {len(before)} lists of the best 10: equal, with all scores"
    )


def repair(stage: Stage) -> str:
    """Rows of the index are damaged behind its back: that is told by comparing it with the log, and mended."""
    client = stage.client
    before = client.best(stage.questions)
    seen = [each["id"] for found in before for each in found[:1]][:30]
    stage.service.stop()
    rows = damage(stage.service, list(dict.fromkeys(seen)))
    stage.service.start()
    client = stage.client
    damaged = sum(one != other for one, other in zip(client.best(stage.questions), before, strict=True))
    assert damaged, "the damage does not show"
    code, _ = stage.service.command("knowledge", "verify", "--url", stage.service.url, "--collection", "library")
    assert code == 1, "the damage was not told"
    found = client.post(f"{LIBRARY}/verify", {"repair": True})
    kinds = {kind: found[kind] for kind in ("missing", "extra", "stale", "damaged") if found[kind]}
    assert found["repaired"] == sum(kinds.values()) == rows, found
    stage.require_same(client.best(stage.questions), before, "after the repair")
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return f"{damaged} searches were wrong; told: {told}; repaired {rows}, all equal again"


def poison(stage: Stage) -> str:
    """An event that cannot be indexed is put aside with the reason; those around it are not held up."""
    client = stage.client
    first, bad, last = (document_event(f"poison/{each}", f"It is {each}.") for each in ("first", "bad", "last"))
    refusal = ""
    try:
        client.events([first, {**bad, "metadata": {"expires_at": "tomorrow"}}])
    except Failed as error:
        refusal = str(error)
    assert "422" in refusal, refusal or "what can be seen to be impossible is accepted"
    client.events([first, {**bad, "action": "UPDATE", "metadata": {}}, last])
    client.refresh()
    assert [bool(client.passages_of(f"poison/{each}")) for each in ("first", "bad", "last")] == [True, False, True]
    letters = client.get("/v1/dead-letters")["dead_letters"]
    assert len(letters) == 1, letters
    dropped = client.post("/v1/dead-letters/drop", {"runs": [letters[0]["run_id"]]})
    return f"the two beside it are found; in the dead letters: {letters[0]['reason']}" if dropped is not None else ""


def die(stage: Stage) -> str:
    """SIGKILL while documents come in: all that was acknowledged is there after the restart, and nothing is there twice."""
    client, service = stage.client, stage.service
    events = [document_event(f"crash/{n}", f"Document {n} of the crash. " * 20) for n in range(KILL_AFTER * 4)]
    begin, before = client.end_of_log(), verified(client)["passages"]
    acknowledged: list[str] = []
    enough = threading.Event()

    def send(number: int) -> None:
        with Client(service.url) as sender, suppress(Failed):  # killed: whether it was taken is not known
            for each in events[number::SENDERS]:
                sender.events([each])
                acknowledged.append(each["metadata"]["document_id"])
                if len(acknowledged) >= KILL_AFTER:
                    enough.set()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(SENDERS)]
    for each in threads:
        each.start()
    enough.wait(60)
    service.kill()
    for each in threads:
        each.join()
    began = perf_counter()
    service.start()
    client = stage.client
    client.refresh()
    back_s = perf_counter() - began
    lost = [each for each in acknowledged if not client.passages_of(each)]
    assert not lost, f"acknowledged and lost: {lost}"
    for start in range(0, len(events), BATCH):
        client.events(events[start : start + BATCH])  # whoever got no answer sends it again
    grown = client.end_of_log() - begin
    assert grown == len(events), f"{len(events)} documents became {grown} events"
    assert verified(client)["passages"] - before == len(events)
    killed = f"{len(acknowledged)} acknowledged when it was killed, back after {back_s:.1f} s"
    return f"{killed}: lost 0; all {len(events)} sent again: doubled 0"


def forget(stage: Stage) -> str:
    """All that is about somebody goes: log, runs, passages, files; not what is about others. A signed receipt says so."""
    client, secret = stage.client, "pays with the violet elephant card"
    client.report("crm", "customers/eve", f"Eve {secret}, on Mondays.", "eve")
    client.report("crm", "customers/bob", "Bob pays in cash.", "bob")
    client.post("/v1/agents/answerer", {"who": "eve", "text": f"Who {secret}?"})
    known, before = str(client.end_of_log()), verified(client)["passages"]
    assert client.passages_of("customers/eve")
    receipt = client.post("/v1/subjects/forget", {"subject": "eve"})
    assert client.passages_of("customers/eve") == []
    assert client.passages_of("customers/bob"), "what is about somebody else went, too"
    for moment in ({}, {"as_of": known}):
        found = client.search(secret, top_k=20, **moment)["results"]
        assert not [each for each in found if secret in each["payload"]], f"found {moment or 'now'}"
    left = client.post("/v1/subjects/traces", {"subject": "eve", "texts": [secret]})
    assert [left["events"], left["passages"], left["keys"], left["checked"]["found"]] == [0, 0, 0, []], left
    assert not [1 for each in contents(stage) if b"violet elephant" in each], "it still stands in a file"
    assert verified(client)["passages"] == before - 1
    signed = [
        client.post("/v1/subjects/receipts", {"receipt": each, "subject": "eve"})["valid"]
        for each in (receipt, {**receipt, "keys": receipt["keys"] + 1})
    ]
    assert signed == [True, False], "the receipt is not signed, or may be changed"
    gone = ", ".join(f"{count} {kind}" for kind, count in receipt["erased"].items() if count)
    checked = receipt["checked"]
    searched = f"{receipt['keys']} keys destroyed; looked through {checked['files']} files: 0 left"
    return f"gone: {gone}; {searched}; the receipt is signed"


def contents(stage: Stage) -> list[bytes]:
    """Return what stands in the files of the store."""
    return [each.read_bytes() for each in stage.service.store.parent.rglob("*") if each.is_file()]


def verified(client: Client) -> dict:
    """Compare the index with the log; nothing may differ."""
    client.refresh()
    found = client.post(f"{LIBRARY}/verify", {"deep_max": 0})
    differing = {kind: found[kind] for kind in ("missing", "extra", "stale", "damaged") if found[kind]}
    assert not differing, f"index and log differ: {differing}, {found['examples'][:3]}"
    return found


def generation(client: Client, number: int) -> dict:
    return next(each for each in client.get(f"{LIBRARY}/generations")["generations"] if each["number"] == number)


STEPS = {
    "documents become events, events an index": take_in,
    "an agent answers from it": answer_from_it,
    "create, update, delete": change,
    "each write as consistent as it asks for": consistency,
    "events from outside, under schemas": from_outside,
    "as it was: searches, and the run replayed": as_of,
    "another embedder under live load": change_model,
    "an empty index, filled from the log": replay_to_empty,
    "damage, told and repaired": repair,
    "a poisonous event": poison,
    "SIGKILL in the middle": die,
    "somebody is forgotten, with a receipt": forget,
}
