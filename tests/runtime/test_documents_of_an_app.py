"""Collections that are brought to where their documents are when an app starts."""

import pytest

from penstock import App, Event, testing
from penstock.errors import Missing, Refused
from penstock.testing import Disk


class Sought(Event):
    text: str


def library(folder):
    app = App("library")
    books = app.knowledge("books", documents=folder)

    @app.agent
    async def find(sought: Sought) -> list[str]:
        return [each.source for each in await books.search(sought.text, limit=2)]

    return app


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "books"
    place.mkdir()
    (place / "owls.md").write_text("# Owls\n\nOwls hunt at night.", encoding="utf-8")
    (place / "larks.md").write_text("# Larks\n\nLarks sing in the morning.", encoding="utf-8")
    return place


async def test_documents_can_be_found_as_soon_as_the_app_runs(folder):
    async with testing.app(library(folder)) as live:
        assert (await live.call("find", Sought(text="Who hunts at night?")))[0] == "owls.md"


async def test_a_start_puts_what_is_new_and_removes_what_is_gone(folder):
    disk = Disk()
    async with testing.app(library(folder), disk=disk) as live:
        before = await live.knowledge("books").digests()
    (folder / "larks.md").unlink()
    (folder / "owls.md").write_text("# Owls\n\nOwls see well.", encoding="utf-8")
    (folder / "jays.md").write_text("# Jays\n\nJays bury acorns.", encoding="utf-8")
    async with testing.app(library(folder), disk=disk) as live:
        assert await live.call("find", Sought(text="Who buries acorns?")) == ["jays.md", "owls.md"]
        after = await live.knowledge("books").digests()
    assert after.keys() == {each.replace("larks", "jays") for each in before}
    assert all(after[each] != before.get(each) for each in after)


async def test_a_start_changes_nothing_where_nothing_changed(folder):
    disk, lengths = Disk(), []
    for _ in range(2):
        async with testing.app(library(folder), disk=disk) as live:
            ends = await live.engine.parts.store.ends()
            lengths.append({topic: end for (topic, _), end in ends.items()})
    assert lengths[0] == lengths[1] != {}


async def test_the_documents_of_a_real_store(folder, tmp_path):
    for _ in range(2):
        async with library(folder).running(store=f"sqlite:{tmp_path / 'library.db'}") as live:
            assert len(await live.knowledge("books").digests()) == 2
            assert (await live.call("find", Sought(text="What sings?")))[0] == "larks.md"


@pytest.mark.parametrize(("name", "error"), [("nowhere", Missing), ("empty", Refused)])
async def test_an_app_without_its_documents_does_not_start(tmp_path, name, error):
    (tmp_path / "empty").mkdir()
    with pytest.raises(error, match=name):
        async with testing.app(library(tmp_path / name)):
            pass
