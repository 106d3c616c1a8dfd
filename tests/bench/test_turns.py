"""The benchmark measures what it says, and what it measures survives being killed."""

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import crashing
import numpy as np
import pytest
from redis import Redis
from redis_server import required_redis

from penstock.bench import machine, turns, workload
from penstock.bench.load import Plan, TooManyErrors, closed_loop, figures, percentile
from penstock.bench.turns import Options, passages_index
from penstock.core.sessions.history import decode_messages
from penstock.errors import Invalid
from penstock.runtime.tasks import Tasks
from penstock.runtime.vector_batch import VectorBatch

TINY = Plan(in_flight=8, window_s=0.3, warmup_s=0.05)
ACKS_BEFORE_KILL = (40, 1, 90, 150)  # the second kill comes while the first one's events are taken up again


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return turns.run(Options(TINY, f"sqlite:{tmp_path_factory.mktemp('bench') / 'turns.db'}"))


# a tiny run


def test_a_run_has_all_figures(tiny):
    named = "turns_per_s p50_ms p99_ms cpu_ms_per_turn bytes_per_turn in_flight seconds turns errors rss_mb import_ms"
    assert {*named.split(), "open_ms", "commits", "turns_per_commit", "versions"} <= tiny.keys()
    assert {"python", "penstock", "numpy", "sqlite"} <= tiny["versions"].keys()


def test_the_figures_of_a_run_agree_with_each_other(tiny):
    assert tiny["errors"] == 0
    assert tiny["turns"] > 0
    assert tiny["turns_per_s"] == pytest.approx(tiny["turns"] / tiny["seconds"], rel=0.01)
    assert tiny["turns_per_commit"] == pytest.approx(tiny["turns"] / tiny["commits"], rel=0.01)
    assert 0 < tiny["p50_ms"] <= tiny["p99_ms"]


def test_a_turn_takes_at_least_its_own_data_on_the_disk(tiny):
    recorded = workload.DIMS * 4 + len(workload.REPLY) * 2
    assert tiny["bytes_per_turn"] > recorded


def test_turns_go_over_a_broker_in_topics_of_their_own_that_are_removed_again(tmp_path):
    with required_redis() as redis:
        found = turns.run(Options(TINY, f"sqlite:{tmp_path / 'turns.db'}", log=redis.address))
        with Redis.from_url(redis.address) as left:
            assert left.keys("bench-*") == []
    assert (found["errors"], found["log"]) == (0, "redis")
    assert found["turns"] > 0


def test_a_run_in_memory_takes_no_disk():
    found = turns.run(Options(TINY, "memory:"))
    assert (found["errors"], found["bytes_per_turn"], found["filesystem"]) == (0, 0, None)


def test_steps_that_wait_for_the_disk_take_more_commits_a_turn(tiny, tmp_path):
    waiting = turns.run(Options(TINY, f"sqlite:{tmp_path / 'turns.db'}", each_step=True))
    assert waiting["errors"] == 0
    assert waiting["turns_per_commit"] < tiny["turns_per_commit"]


def test_the_last_line_is_json(tmp_path, capsys):
    assert turns.main(Plan(4, 0.1, 0), json=True, store=f"sqlite:{tmp_path / 'turns.db'}") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["in_flight"] == 4


def test_a_profile_can_be_read_by_pstats(tmp_path, capsys):
    import pstats

    profile = tmp_path / "turns.prof"
    turns.main(Plan(4, 0.1, 0), json=True, store="memory:", profile=profile)
    assert any("context.py" in file for file, _, _ in pstats.Stats(str(profile)).stats)


def test_a_store_that_was_not_named_is_removed_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = turns.run(Options(TINY))
    assert found["store"] == "sqlite"
    assert list((tmp_path / ".penstock").iterdir()) == []


@pytest.mark.parametrize("plan", [Plan(0, 1, 1), Plan(9999, 1, 1), Plan(1, 0, 1), Plan(1, 1, -1)])
def test_numbers_out_of_range_are_refused(plan):
    with pytest.raises(Invalid, match="the benchmark"):
        turns.run(Options(plan))


# its parts


async def test_retrieval_in_batches_is_exact():
    texts = [f"query {number}" for number in range(70)]
    vectors = [workload.embedding(text) for text in texts]
    async with asyncio.TaskGroup() as group:
        batch = VectorBatch(await passages_index(), turns.SPACE, Tasks(group))
        found = await asyncio.gather(*(batch.nearest(vector, workload.TOP) for vector in vectors))
    matrix = workload.passage_vectors()
    for vector, ids in zip(vectors, found, strict=True):
        scores = matrix @ np.frombuffer(vector, "<f4")
        assert [int(each) for each in ids] == np.argsort(-scores)[: workload.TOP].tolist()


def test_embeddings_are_unit_vectors_that_never_change():
    vector = np.frombuffer(workload.embedding("doc-0"), "<f4")
    assert vector.shape == (workload.DIMS,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert vector[:3].tolist() == pytest.approx([-0.03766544, -0.05627706, 0.06279945], abs=1e-6)


async def test_the_loop_keeps_so_many_in_flight_and_gives_up_on_a_system_that_does_not_work():
    under_way = most = 0

    async def turn(number: int) -> str:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return "yes" if number % 10 else "no"

    with pytest.raises(ExceptionGroup) as failed:
        await closed_loop(turn, Plan(5, 60, 0), lambda: 0, expected="yes")
    assert failed.group_contains(TooManyErrors, match="another reply than expected: 'no'")
    assert most == 5


async def test_a_turn_that_fails_is_counted_and_not_measured():
    async def turn(number: int) -> str:
        await asyncio.sleep(0)
        if number == 3:
            raise OSError("the disk is full")
        return "yes"

    measured = await closed_loop(turn, Plan(1, 0.05, 0), lambda: 0, expected="yes")
    assert (measured.errors, measured.first_error) == (1, "OSError: the disk is full")
    assert measured.turns == len(measured.latencies_s) < measured.turns_sent
    assert figures(measured, cpu_s=1.0)["cpu_ms_per_turn"] == pytest.approx(1000 / measured.turns, rel=0.01)


@pytest.mark.parametrize(
    ("values", "share", "expected"), [([], 0.5, 0), ([7], 0.99, 7), ([1, 2, 3, 4], 0.5, 3), (range(100), 0.99, 99)]
)
def test_a_percentile_is_one_of_the_values(values, share, expected):
    assert percentile(values, share) == expected


def test_the_file_system_is_that_of_the_deepest_mount(tmp_path):
    assert machine.filesystem(Path("/proc/self")) == "proc"
    assert machine.filesystem(tmp_path) not in (None, "proc")


# killed


def test_every_acknowledged_turn_is_in_its_session_once_and_in_order_however_often_the_process_is_killed(tmp_path):
    store = tmp_path / "turns.db"
    acknowledged: dict[int, int] = {}  # client -> turns acknowledged: counted here, outside of what is tested
    for acks in ACKS_BEFORE_KILL:
        assert _acks_until_killed(store, acknowledged, acks) == -signal.SIGKILL
    assert sum(acknowledged.values()) >= sum(ACKS_BEFORE_KILL)

    stored = _stored_texts(store)
    for client, turns_acknowledged in acknowledged.items():
        texts = [text for session in sorted(stored.get(client, {}).items()) for text in session[1]]
        # The one turn under way at the kill may be there too: it was durable, and its acknowledgement was lost.
        assert turns_acknowledged <= len(texts) <= turns_acknowledged + 1
        assert texts == [crashing.text_of(client, turn) for turn in range(len(texts))]


def _acks_until_killed(store: Path, acknowledged: dict[int, int], acks: int) -> int:
    """Run the app, kill it after so many acknowledgements, take in those that were still in the pipe, return its status."""
    command = [sys.executable, str(Path(crashing.__file__)), str(store)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        json.dump(acknowledged, process.stdin)
        process.stdin.close()
        for count, line in enumerate(process.stdout, 1):
            if line.endswith("\n"):
                client, turn = map(int, line.split())
                assert turn == acknowledged.get(client, 0), "acknowledged out of order, or twice"
                acknowledged[client] = turn + 1
            if count == acks:
                process.send_signal(signal.SIGKILL)
    return process.returncode


def _stored_texts(store: Path) -> dict[int, dict[int, list[str]]]:
    """Read the sessions with nothing of the engine: client -> number of its session -> what the user said, in order."""
    found: dict[int, dict[int, list[str]]] = {}
    with sqlite3.connect(store) as connection:
        rows = connection.execute("SELECT session, body FROM session ORDER BY session, number").fetchall()
    connection.close()
    for session, body in rows:
        _, client, number = session.split("-")
        messages = decode_messages(body)
        assert [message.role for message in messages] == ["user", "assistant"]
        found.setdefault(int(client), {}).setdefault(int(number), []).append(messages[0].content)
    return found
