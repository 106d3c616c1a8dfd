"""What an app may rely on when its runs tell on their way, on any store. A store's tests inherit it and supply `disk`.

    class TestStreamsOnMyStore(EngineStreamContract):
        @pytest.fixture
        def disk(self, tmp_path):
            return lambda: open_my_store(tmp_path)      # an async context manager; each call opens the same data

Each test names the guarantee that it checks.
"""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from penstock.core.agents.pieces import ENDED, ITEM, RESET, Piece, dropped_by, standing
from penstock.errors import LimitReached, Missing, Unavailable
from penstock.runtime.context import Context
from penstock.runtime.engine import Engine
from penstock.runtime.run_streams import AHEAD_MAX
from penstock.testing.engine_trial import Disk, Order, engine_of, killed

RUN = "o1:serve"


async def heard(engine: Engine, from_offset: int = 0, *, name: str = "", tenant: str = "default") -> list[Piece]:
    """Return what a follower gets, to the run's end."""
    follower = await engine.follow(RUN, name=name, from_offset=from_offset, tenant=tenant)
    async with asyncio.timeout(10):
        return [piece async for piece in follower.pieces()]


async def until(pieces: AsyncGenerator[Piece], text: str) -> list[Piece]:
    """Return what a follower gets up to a text, and leave him where he is."""
    found: list[Piece] = []
    async with asyncio.timeout(10):
        async for piece in pieces:
            found.append(piece)
            if piece.text == text:
                return found
    raise AssertionError(found)


def texts(pieces: list[Piece]) -> str:
    """Return what stands, as one text."""
    return "".join(piece.text for piece in standing(pieces))


def expect_whole(pieces: list[Piece], from_offset: int = 0) -> None:
    """Check that nothing is missing and nothing comes twice: what is left out, a reset takes back."""
    following = from_offset
    for piece in pieces:
        if piece.kind == RESET and piece.offset != following:
            assert (following, piece.offset) in dropped_by(piece) or any(
                first <= following and piece.offset <= end for first, end in dropped_by(piece)
            ), f"{piece} leaves a hole after {following}"
        else:
            assert piece.offset == following, f"{piece} follows {following - 1}"
        following = piece.offset + (piece.kind != ENDED)
    assert pieces[-1].kind == ENDED


class EngineStreamContract:
    """C1, C7, C9 and C10 of streams on one store."""

    async def test_c7_a_piece_is_heard_before_anything_is_durable(self, disk: Disk) -> None:
        go_on = asyncio.Event()

        async def serve(_: Order, ctx: Context) -> None:
            ctx.tell("soon")
            await go_on.wait()
            ctx.tell(" later")

        async with engine_of(disk, serve) as (engine, _):
            await engine.send(Order(customer="a"), id="o1")
            pieces = (await engine.follow("o1")).pieces()
            (piece,) = await until(pieces, "soon")
            assert piece.provisional
            go_on.set()
            rest = [each async for each in pieces]
            assert [(each.kind, each.text) for each in rest] == [("token", " later"), ("ended", "succeeded")]
            assert [(each.text, each.provisional) for each in await heard(engine)][:2] == [
                ("soon", False),
                (" later", False),
            ]

    async def test_c1_a_stream_is_read_after_a_restart_from_any_offset(self, disk: Disk) -> None:
        async def serve(order: Order, ctx: Context) -> None:
            for number in range(20):
                ctx.tell(f"{number} ")
                await asyncio.sleep(0)
            ctx.stream("notes").write({"total": 20, "order": order.number}, name="sum")

        async with engine_of(disk, serve) as (engine, _):
            await engine.send(Order(customer="a", number=3), id="o1")
            assert await engine.settled(10)
        async with engine_of(disk, serve) as (engine, _):
            for from_offset in (0, 7, 19, 20):
                pieces = await heard(engine, from_offset)
                expect_whole(pieces, from_offset)
                assert texts(pieces) == "".join(f"{number} " for number in range(from_offset, 20))
            note, _ = await heard(engine, name="notes")
            assert (note.kind, note.data, note.name) == (ITEM, {"total": 20, "order": 3}, "sum")
            (end,) = await heard(engine, name="unknown")
            assert (end.kind, end.text) == (ENDED, "succeeded")

    async def test_c1_a_kill_in_the_middle_leaves_one_text(self, disk: Disk) -> None:
        """The step that is recorded is not told again; the one that was cut off is taken back, and told anew."""
        lives = 0
        shown: list[Piece] = []
        cut_off = asyncio.Event()

        async def first(ctx: Context) -> str:
            for word in ("The ", "answer "):
                ctx.tell(word)
                await asyncio.sleep(0)
            return "first"

        async def second(ctx: Context, life: int) -> str:
            ctx.tell(f"is {life}" if life == 1 else "is")
            if life == 1:
                cut_off.set()
                await asyncio.Event().wait()
            ctx.tell(" forty-two")
            return "second"

        async def serve(_: Order, ctx: Context) -> None:
            nonlocal lives
            lives += 1
            await ctx.read("first", first, ctx)
            await ctx.read("second", second, ctx, lives)

        async def until_cut_off(engine: Engine) -> None:
            await engine.send(Order(customer="a"), id="o1")
            shown.extend(await until((await engine.follow(RUN)).pieces(), "is 1"))
            await cut_off.wait()
            await engine.services.committer.durable()

        await killed(disk, serve, do=until_cut_off)
        seen = shown[-1].offset + 1
        async with engine_of(disk, serve) as (engine, _):
            after = await heard(engine, seen)
            expect_whole(after, seen)
            assert after[0].kind == RESET
            assert texts([*shown, *after]) == "The answer is forty-two"
            again = await heard(engine)
            expect_whole(again)
            assert texts(again) == "The answer is forty-two"
            assert [piece.text for piece in again].count("The ") == 1
        assert lives == 2

    async def test_c1_what_was_shown_and_lost_is_taken_back_from_whoever_comes_back(self, disk: Disk) -> None:
        """Pieces are shown before they are durable; no process gives their offsets to other pieces."""
        lives = 0
        shown: list[Piece] = []

        async def serve(_: Order, ctx: Context) -> None:
            nonlocal lives
            lives += 1
            for number in range(10):
                ctx.tell(f"{lives}:{number} ")
            if lives == 1:
                await asyncio.Event().wait()

        async def until_shown(engine: Engine) -> None:
            await engine.send(Order(customer="a"), id="o1")
            shown.extend(await until((await engine.follow(RUN)).pieces(), "1:9 "))

        await killed(disk, serve, do=until_shown)
        async with engine_of(disk, serve) as (engine, _):
            after = await heard(engine, 10)
        expect_whole(after, 10)
        assert texts([*shown, *after]) == "".join(f"2:{number} " for number in range(10))
        assert after[0].offset >= AHEAD_MAX

    async def test_c6_an_attempt_that_failed_is_taken_back(self, disk: Disk) -> None:
        async def serve(order: Order, ctx: Context) -> None:
            await ctx.read("plan", _plan, ctx)
            ctx.tell(f"attempt {ctx.attempt}")
            if ctx.attempt < 3:
                raise ValueError(order.number)

        async with engine_of(disk, serve) as (engine, _):
            await engine.send(Order(customer="a"), id="o1")
            live = await heard(engine)
            for pieces in (live, await heard(engine)):
                expect_whole(pieces)
                assert texts(pieces) == "plan attempt 3"
                assert [each.attempt for each in pieces if each.kind == RESET] == [2, 3]

    async def test_c6_a_step_that_failed_is_taken_back(self, disk: Disk) -> None:
        async def stumble(ctx: Context) -> None:
            ctx.tell("half an ans")
            raise ValueError("gone")

        async def serve(_: Order, ctx: Context) -> None:
            ctx.tell("hm ")
            try:
                await ctx.read("stumble", stumble, ctx)
            except ValueError:
                await ctx.read("plan", _plan, ctx)

        async with engine_of(disk, serve) as (engine, _):
            await engine.send(Order(customer="a"), id="o1")
            assert await engine.settled(10)
            pieces = await heard(engine)
            # It is taken back before anything else is told: whoever follows never reads the one after the other.
            assert [each.text or each.kind for each in pieces] == ["hm ", "half an ans", RESET, "plan ", "succeeded"]
            assert texts(pieces) == "hm plan "

    async def test_c7_steps_side_by_side_stand_by_themselves(self, disk: Disk) -> None:
        lives = 0
        told = asyncio.Event()

        async def word(ctx: Context, text: str, *, is_cut_off: bool) -> str:
            for part in range(3):
                ctx.tell(f"{text}{part} ")
                await asyncio.sleep(0)
            if is_cut_off:
                told.set()
                await asyncio.Event().wait()
            return text

        async def serve(_: Order, ctx: Context) -> None:
            nonlocal lives
            lives += 1
            await asyncio.gather(
                ctx.read("a", word, ctx, "a", is_cut_off=False), ctx.read("b", word, ctx, "b", is_cut_off=lives == 1)
            )

        async def until_told(engine: Engine) -> None:
            await engine.send(Order(customer="a"), id="o1")
            await told.wait()
            await engine.services.committer.durable()

        await killed(disk, serve, do=until_told)
        async with engine_of(disk, serve) as (engine, _):
            pieces = await heard(engine)
        by_step = {
            step: "".join(each.text for each in standing(pieces) if each.step == step) for step in ("a#0", "b#0")
        }
        assert by_step == {"a#0": "a0 a1 a2 ", "b#0": "b0 b1 b2 "}
        assert len(standing(pieces)) == 6

    async def test_c7_every_follower_receives_every_piece(self, disk: Disk) -> None:
        """pydantic-ai #6092: a handler of a run's stream missed events. Here: however many follow, however slowly they read."""
        total = 3 * AHEAD_MAX
        go_on = asyncio.Event()

        async def serve(_: Order, ctx: Context) -> None:
            await go_on.wait()
            for number in range(total):
                ctx.tell(f"{number} ")
                if number % 100 == 0:
                    await asyncio.sleep(0)

        async def slowly(engine: Engine, pause: int) -> list[Piece]:
            found: list[Piece] = []
            async for piece in (await engine.follow(RUN)).pieces():
                found.append(piece)
                if pause and len(found) % pause == 0:
                    await engine.services.committer.durable()  # what it has not read is not in memory any more
                    await asyncio.sleep(0)
            return found

        async with engine_of(disk, serve) as (engine, _):
            await engine.send(Order(customer="a"), id="o1")
            following = [asyncio.ensure_future(slowly(engine, pause)) for pause in (0, 0, 1, 7, 100, 1000)]
            await asyncio.sleep(0)
            go_on.set()
            async with asyncio.timeout(20):
                everything = await asyncio.gather(*following)
        for pieces in everything:
            expect_whole(pieces)
            assert texts(pieces) == "".join(f"{number} " for number in range(total))

    async def test_no_row_per_token(self, disk: Disk) -> None:
        """Others commit all the time; what is told slowly goes along with few of their commits."""
        told = 500
        is_over = asyncio.Event()

        async def serve(_: Order, ctx: Context) -> None:
            for number in range(told):
                ctx.tell(f"{number} ")
                await ctx_ticks()
            is_over.set()

        async def ctx_ticks() -> None:
            for _ in range(3):
                await asyncio.sleep(0)

        async def others(engine: Engine) -> None:
            while not is_over.is_set():
                engine.services.committer.add()
                await asyncio.sleep(0)

        async with engine_of(disk, serve) as (engine, store):
            await engine.send(Order(customer="a"), id="o1")
            async with asyncio.timeout(30):
                await others(engine)
                assert await engine.settled(10)
            (end,) = await store.streams("default", RUN)
            assert end.next == told
            assert end.chunks <= 60

    async def test_c9_an_endless_stream_ends_the_run_with_its_reason(self, disk: Disk) -> None:
        async def serve(_: Order, ctx: Context) -> None:
            while True:
                ctx.tell("x" * 100_000)
                await asyncio.sleep(0)

        async with engine_of(disk, serve) as (engine, store):
            await engine.send(Order(customer="a"), id="o1")
            end = (await heard(engine))[-1]
            assert (end.kind, end.text) == (ENDED, "failed")
            assert end.data["reason"].startswith(LimitReached.__name__)
            assert len(await store.dead_letters()) == 1

    async def test_c10_nobody_follows_the_run_of_another_tenant(self, disk: Disk) -> None:
        async def serve(_: Order, ctx: Context) -> None:
            ctx.tell("secret")

        async with engine_of(disk, serve) as (engine, _):
            await engine.send(Order(customer="a"), id="o1", tenant="t")
            with pytest.raises(Missing):
                await heard(engine)
            assert texts(await heard(engine, tenant="t")) == "secret"
            with pytest.raises(Missing):
                await engine.follow("o1")

    async def test_whoever_follows_is_told_when_the_engine_stops(self, disk: Disk) -> None:
        async def serve(_: Order, ctx: Context) -> None:
            ctx.tell("soon")
            await asyncio.Event().wait()

        followers: list[AsyncGenerator[Piece]] = []

        async def until_heard(engine: Engine) -> None:
            await engine.send(Order(customer="a"), id="o1")
            followers.append((await engine.follow(RUN)).pieces())
            await until(followers[0], "soon")

        await killed(disk, serve, do=until_heard)
        with pytest.raises(Unavailable):
            await anext(followers[0])


async def _plan(ctx: Context) -> str:
    ctx.tell("plan ")
    return "plan"
