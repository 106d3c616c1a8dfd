"""The contract of `RunCatalog`, as tests. An adapter inherits them and supplies the store that the catalogue is of.

    class TestMyCatalogue(RunCatalogContract):
        @pytest.fixture
        async def store(self, tmp_path: Path) -> AsyncGenerator[MyStore]:
            async with open_my_store(tmp_path) as store:
                yield store

Each test names the guarantee that it checks. There is no way to switch one off.
"""

from collections.abc import Sequence

import pytest
from msgspec import structs

from penstock.core.agents.unit import DeadLetter, RunChange, Status, Writes
from penstock.core.events.envelope import Envelope, Position, Recorded, emitted_id
from penstock.ports.state import DeadFilter, RunFilter
from penstock.ports.store import Store
from penstock.testing.commits import NOW_MS, change, recorded


class RunCatalogContract:
    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError("supply the store under test")

    async def test_r1_runs_come_newest_first(self, store: Store) -> None:
        claim = await store.claim("w")
        await store.commit(claim, 1, Writes(runs=[change("1:a"), change("2:a")]))
        await store.commit(claim, 2, Writes(runs=[change("3:a")]))
        assert ids_of(await store.runs(RunFilter())) == ["3:a", "2:a", "1:a"]

    async def test_r1_a_limit_keeps_the_newest(self, store: Store) -> None:
        await store.commit(await store.claim("w"), 1, Writes(runs=[change(f"{number}:a") for number in range(60)]))
        assert ids_of(await store.runs(RunFilter(limit=2))) == ["59:a", "58:a"]
        assert len(await store.runs(RunFilter())) == 50
        assert len(await store.runs(RunFilter(limit=100))) == 60

    async def test_r1_a_run_is_listed_once_with_its_last_change(self, store: Store) -> None:
        claim = await store.claim("w")
        await store.commit(claim, 1, Writes(runs=[change("1:a", status="retrying"), change("1:a", status="retrying")]))
        last = change("1:a", status="failed", reason="no")
        await store.commit(claim, 2, Writes(runs=[last]))
        assert list(await store.runs(RunFilter())) == [last]

    @pytest.mark.parametrize(
        ("which", "expected"),
        [
            (RunFilter(tenant="t"), ["3:b", "2:a", "1:a"]),
            (RunFilter(tenant="u"), ["4:a"]),
            (RunFilter(tenant="T"), []),
            (RunFilter(tenant=""), []),
            (RunFilter(agent="a"), ["4:a", "2:a", "1:a"]),
            (RunFilter(agent="b"), ["3:b"]),
            (RunFilter(status="failed"), ["4:a", "3:b", "2:a"]),
            (RunFilter(status="succeeded"), ["1:a"]),
            (RunFilter(status="retrying"), []),
            (RunFilter(tenant="t", agent="a", status="failed"), ["2:a"]),
            (RunFilter(tenant="t", status="failed", limit=1), ["3:b"]),
        ],
    )
    async def test_r1_runs_are_filtered(self, store: Store, which: RunFilter, expected: list[str]) -> None:
        runs = [
            run_of("1", "t", "a", "succeeded"),
            run_of("2", "t", "a", "failed"),
            run_of("3", "t", "b", "failed"),
            run_of("4", "u", "a", "failed"),
        ]
        await store.commit(await store.claim("w"), 1, Writes(runs=runs))
        assert ids_of(await store.runs(which)) == expected

    async def test_r1_dead_letters_come_newest_first(self, store: Store) -> None:
        claim = await store.claim("w")
        for number in (1, 2, 3):
            await store.commit(claim, number, buried(str(number), number))
        assert [letter.run_id for letter in await store.dead_letters()] == ["3:a", "2:a", "1:a"]
        assert [letter.run_id for letter in await store.dead_letters(DeadFilter(limit=1))] == ["3:a"]
        assert (await store.dead_letters())[0] == buried("3", 3).dead[0]

    async def test_r1_who_died_again_is_the_newest_and_listed_once(self, store: Store) -> None:
        claim = await store.claim("w")
        for number in (1, 2):
            await store.commit(claim, number, buried(str(number), number))
        again = structs.replace(buried("1", 1).dead[0], reason="again", attempts=6)
        await store.commit(claim, 3, Writes(dead=[again]))
        letters = await store.dead_letters()
        assert [(letter.run_id, letter.reason) for letter in letters] == [("1:a", "again"), ("2:a", "no")]

    async def test_r1_dead_letters_are_those_of_a_tenant(self, store: Store) -> None:
        claim = await store.claim("w")
        await store.commit(claim, 1, buried("1", 1))
        await store.commit(claim, 2, buried("2", 2, tenant="u"))
        assert [letter.run_id for letter in await store.dead_letters(DeadFilter(tenant="t"))] == ["1:a"]
        assert [letter.run_id for letter in await store.dead_letters(DeadFilter(tenant="u"))] == ["2:a"]
        assert list(await store.dead_letters(DeadFilter(tenant=""))) == []

    @pytest.mark.parametrize(
        ("which", "expected"),
        [
            (DeadFilter(agent="a"), ["3:a", "1:a"]),
            (DeadFilter(run_id="2:b"), ["2:b"]),
            (DeadFilter(run_id="2"), []),
            (DeadFilter(reason="not 50% Ready_"), ["2:b"]),
            (DeadFilter(reason="READY"), ["2:b", "1:a"]),
            (DeadFilter(reason="o%"), []),
            (DeadFilter(reason="\0"), ["3:a"]),
            (DeadFilter(since_ms=NOW_MS + 2), ["3:a", "2:b"]),
            (DeadFilter(agent="a", since_ms=NOW_MS + 2, tenant="t"), ["3:a"]),
            (DeadFilter(agent="a", limit=1), ["3:a"]),
        ],
    )
    async def test_r1_dead_letters_are_filtered(self, store: Store, which: DeadFilter, expected: list[str]) -> None:
        reasons = ("is ready", "Not 50% ready_", "zero \0")
        letters = [
            structs.replace(
                buried(str(number), number).dead[0],
                run_id=f"{number}:{agent}",
                agent=agent,
                reason=reasons[number - 1],
                at_ms=NOW_MS + number,
            )
            for number, agent in ((1, "a"), (2, "b"), (3, "a"))
        ]
        await store.commit(await store.claim("w"), 1, Writes(events=[letter.event for letter in letters], dead=letters))
        assert [letter.run_id for letter in await store.dead_letters(which)] == expected

    async def test_r2_a_settled_dead_letter_is_listed_no_more(self, store: Store) -> None:
        claim = await store.claim("w")
        for number in (1, 2):
            await store.commit(claim, number, buried(str(number), number))
        await store.commit(claim, 3, Writes(settled=["1:a", "unknown:a"]))
        assert [letter.run_id for letter in await store.dead_letters()] == ["2:a"]

    async def test_r2_who_dies_again_in_the_same_commit_is_the_newest(self, store: Store) -> None:
        claim = await store.claim("w")
        for number in (1, 2):
            await store.commit(claim, number, buried(str(number), number))
        again = structs.replace(buried("1", 1).dead[0], reason="again", attempts=6)
        await store.commit(claim, 3, Writes(settled=["1:a"], dead=[again]))
        letters = await store.dead_letters()
        assert [(letter.run_id, letter.reason) for letter in letters] == [("1:a", "again"), ("2:a", "no")]

    async def test_r1_an_event_is_found_by_its_id(self, store: Store) -> None:
        await store.append("t", [recorded("a").event])
        await store.append("u", [recorded("ab").event])
        assert await store.event("a") == Recorded(Position("t", 0, 1), recorded("a").event)
        assert await store.event("ab") == Recorded(Position("u", 0, 1), recorded("ab").event)
        assert [await store.event(other) for other in ("", "A", "b", "a%", "abc")] == [None] * 5

    async def test_r1_an_origin_holds_all_that_followed_itself_first(self, store: Store) -> None:
        root = origin_of("root")
        children = [followed("root", f"root:{number}", number) for number in range(10)]
        grandchild = followed("root", f"{children[0].id}:a", 0)
        await store.append("t", [origin_of("before"), *children[:5]])
        await store.append("u", [root, grandchild])
        await store.append("v", children[5:])
        found = [each.event for each in await store.origin("root")]
        assert found[0] == root
        assert sorted(event.id for event in found[1:]) == sorted(event.id for event in (*children, grandchild))
        assert [each.position.topic for each in await store.origin("before")] == ["t"]

    async def test_r1_an_id_that_begins_another_is_another_origin(self, store: Store) -> None:
        roots = ["a", "ab", "a.", "a.b", "a/", "a-b", "A", "a.b.c", "a%", "a_"]
        for root in roots:
            await store.append("t", [origin_of(root), followed(root, f"{root}:x", 1)])
        for root in roots:
            found = await store.origin(root)
            assert [each.event.id for each in found] == [root, emitted_id(f"{root}:x", root, 1)]

    async def test_r1_an_unknown_origin_is_empty(self, store: Store) -> None:
        await store.append("t", [origin_of("a")])
        assert [list(await store.origin(other)) for other in ("", "b", "a.", "%")] == [[], [], [], []]


def ids_of(runs: Sequence[RunChange]) -> list[str]:
    """Return the ids of runs."""
    return [run.run_id for run in runs]


def run_of(event_id: str, tenant: str, agent: str, status: Status) -> RunChange:
    """Return a change of the run of an agent for an event."""
    return structs.replace(change(f"{event_id}:{agent}", status=status), tenant=tenant, agent=agent)


def buried(event_id: str, offset: int, *, tenant: str = "t") -> Writes:
    """Return a commit of an event and its dead letter."""
    place = recorded(event_id, offset=offset)
    letter = structs.replace(place, event=structs.replace(place.event, tenant=tenant))
    return Writes(events=[letter], dead=[DeadLetter(f"{event_id}:a", "a", letter, "no", 5, NOW_MS)])


def origin_of(event_id: str) -> Envelope:
    """Return an event from outside: everything begins with it."""
    return recorded(event_id).event


def followed(origin: str, run: str, number: int) -> Envelope:
    """Return an event that a run emitted."""
    event_id = emitted_id(run, origin, number)
    return structs.replace(recorded(event_id).event, correlation_id=origin, causation_id=origin, depth=1)
