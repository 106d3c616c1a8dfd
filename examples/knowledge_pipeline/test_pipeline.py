"""The knowledge pipeline: what its agents publish, in memory and virtual time; and all that the README promises, over HTTP."""

import json
from pathlib import Path

import pytest
from fork_server import Forked
from pipeline_app import Answer, Question, Report, Spelling, app, masked
from pipeline_input import AVRO, JSON_SCHEMA, document_event, questions_about, read_documents
from pipeline_service import Service
from pipeline_steps import STEPS, Stage

from penstock import KnowledgeEvent, testing
from penstock.testing import WritePoint

HERE = Path(__file__).parent
FACTS = HERE.parent / "goal_planner" / "facts"


class ForkedService(Service):
    """The service out of a fork server that has imported all, so that it is quickly there again after each kill."""

    def begun(self, arguments):
        return Forked(arguments, self.log, self.stack)

    def command(self, *arguments):
        process = Forked(list(arguments), self.log, self.stack)
        with process.stdout as said:
            text = said.read()
        return process.wait(60), text


async def published(live, *reports):
    for number, each in enumerate(reports):
        await live.send(each, id=f"report-{number}")
    await live.settled()
    return live.knowledge("library")


async def texts(library):
    return {key: each.text for key, each in (await library.passages(list(await library.digests()))).items()}


async def test_a_report_is_an_event_of_its_desk_and_can_be_found():
    async with testing.app(app) as live:
        library = await published(live, Report(desk="mill", document="mill/water", text="Water drives the wheel."))
        assert [(each.agent_id, each.action) for each in await live.events(KnowledgeEvent)] == [("mill", "UPDATE")]
        (found,) = await library.search("what drives the wheel")
        assert (found.id, found.metadata) == ("mill/water", {"document_id": "mill/water", "desk": "mill"})


async def test_what_one_desk_says_keeps_its_order():
    async with testing.app(app) as live:
        editions = [Report(desk="mill", document="mill/water", text=f"edition {number}") for number in range(30)]
        assert await texts(await published(live, *editions)) == {"mill/water": "edition 29"}


async def test_an_update_leaves_no_passage_of_the_old_version_and_a_report_without_text_none_at_all():
    async with testing.app(app) as live:
        long = "\n\n".join(f"# Part {part}\n\n{'It turns and turns. ' * 60}" for part in range(4))
        library = await published(live, Report(desk="mill", document="mill/water", text=long))
        assert len(await library.digests()) > 3
        await live.ask(Report(desk="mill", document="mill/water", text="It stands."), KnowledgeEvent)
        await live.settled()
        assert await texts(library) == {"mill/water": "It stands."}
        await live.ask(Report(desk="mill", document="mill/water"), KnowledgeEvent)
        await live.settled()
        assert await texts(library) == {}


async def test_an_event_that_comes_twice_is_one_and_a_document_has_another_identity_than_its_events():
    first, second = (
        KnowledgeEvent.checked(document_event("mill", text, edition=number))
        for number, text in enumerate(("It turns.", "It stands."), start=1)
    )
    async with testing.app(app) as live:
        library = live.knowledge("library")
        for event in (first, first, second, first):
            await library.apply([event], consistency="strong")
        assert len(await live.events(KnowledgeEvent)) == 2
        assert await texts(library) == {"mill": "It stands."}


def test_personal_data_do_not_reach_the_log():
    assert masked("Ada <ada@example.org>, ADA@example.org, 4111 1111 1111 1111, order 4711") == (
        "Ada <mail-7189365e6356>, mail-7189365e6356, [card], order 4711"
    )


async def test_an_answer_names_its_passages():
    async with testing.app(app) as live:
        await published(live, Report(desk="mill", document="mill/water", text="Water drives the wheel."))
        answer = await live.ask(Question(who="ada", text="What drives the wheel?"), Answer)
        assert answer.passages == ["mill/water"]
        assert "Water" in answer.text


@pytest.mark.parametrize("point", [WritePoint.AFTER_HANDLING, WritePoint.DURING_COMMIT, WritePoint.AFTER_COMMIT])
async def test_a_report_is_published_once_wherever_the_process_dies(disk, point):
    report = Report(desk="mill", document="mill/water", text="Water drives the wheel.")
    async with testing.app(app, disk=disk) as live, live.crash_at(point):
        await published(live, report)
    async with testing.app(app, disk=disk) as live:
        library = await published(live, report)
        assert len(await live.events(KnowledgeEvent)) == 1
        assert await texts(library) == {"mill/water": report.text}


async def test_the_other_embedder_gives_a_text_one_vector_whatever_is_beside_it():
    given = ["", "a", "water", "Wasser \ud800 fließt", "water"]
    together = await Spelling().embed(given)
    assert together.shape == (5, Spelling.dims)
    for row, text in zip(together, given, strict=True):
        assert (await Spelling().embed([text]))[0].tobytes() == row.tobytes()
        assert (row @ row == pytest.approx(1)) == (len(text) > 2)


def test_the_schemas_beside_the_example_are_those_of_the_event():
    for name, schema in (("knowledge_event.avsc", AVRO), ("knowledge_event.schema.json", JSON_SCHEMA)):
        assert json.loads((HERE / name).read_text()) == json.loads(schema)


@pytest.mark.timeout(300)
def test_everything_that_the_readme_promises_holds(tmp_path):
    documents = read_documents(FACTS, None)
    with ForkedService(tmp_path / "pipeline.db") as service:
        stage = Stage(service, documents, questions_about(documents, 12), load_s=0.6)
        for step in STEPS.values():
            step(stage)
    readme = (HERE / "README.md").read_text()
    assert [title for title in STEPS if title not in readme] == []
