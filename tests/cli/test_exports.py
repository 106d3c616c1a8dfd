"""`penstock export` and `penstock import`: a store as a file, and a file as a store; bad files are refused with all findings."""

import asyncio
import json
import sys
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from penstock.cli import app as commands
from penstock.testing.copying_contract import Said, moving

MOVING = """
from penstock.testing.copying_contract import moving
app = moving()
"""


def typed(*arguments, code=0):
    shown = CliRunner().invoke(commands, [str(each) for each in arguments])
    assert shown.exit_code == code, shown.output
    return shown


@pytest.fixture
def store(tmp_path):
    url = f"sqlite:{tmp_path / 'moving.db'}"

    async def life():
        async with moving().running(store=url) as live:
            for text in ("hello", "large " * 20_000, "later"):
                await live.call("hear", Said(who="ann", text=text))
            await live.send(Said(who="bob", text="poison"), id="bad")
            assert await live.engine.settled(10)

    asyncio.run(life())
    return url


@pytest.fixture
def file(store, tmp_path):
    typed("export", store, "--to", tmp_path / "out.jsonl")
    return tmp_path / "out.jsonl"


def refused(file, tmp_path):
    """Import a bad file, and return what is said; nothing may be in the store."""
    url = f"sqlite:{tmp_path / 'refused.db'}"
    said = " ".join(typed("import", file, url, code=2).output.split())
    assert json.loads(typed("runs", "list", "--store", url, "--json").stdout) == []
    return said


def test_a_store_is_written_to_a_file_and_a_file_to_a_store(store, tmp_path):
    (tmp_path / "app.py").write_text(MOVING)
    shown = typed("export", store, "--to", tmp_path / "out.jsonl.gz")
    assert "event" in shown.stdout
    assert "out.jsonl.gz" in shown.stdout
    there = f"sqlite:{tmp_path / 'there.db'}"
    assert "nothing is wrong with it" in typed("import", tmp_path / "out.jsonl.gz", there, "--check").stdout
    assert json.loads(typed("runs", "list", "--store", there, "--json").stdout) == []
    written = json.loads(typed("import", tmp_path / "out.jsonl.gz", there, "--json").stdout)
    assert written["written"] == written["new"] == sum(written["rows"].values()) - written["rows"]["blob"]
    assert "the store has all of it already" in typed("import", tmp_path / "out.jsonl.gz", there).stdout
    first, second = [typed("runs", "list", "--store", each, "--json").stdout for each in (store, there)]
    assert first == second
    assert len(json.loads(first)) >= 4


def test_an_export_goes_into_a_folder_under_the_name_of_its_store(store, tmp_path):
    (tmp_path / "out").mkdir()
    shown = json.loads(typed("export", store, "--to", tmp_path / "out", "--json").stdout)
    assert shown["path"] == str(tmp_path / "out" / "moving.jsonl")
    assert shown["missing_values"] == 0
    assert (tmp_path / "out" / "moving.jsonl").stat().st_size == shown["bytes"] + len(last_line(shown["path"])) + 1


def last_line(path):
    return Path(path).read_text().splitlines()[-1]


def test_parquet_is_read_back_too(store, tmp_path):
    pytest.importorskip("pyarrow", reason="NOT TESTED: Parquet (the extra is not installed)")
    typed("export", store, "--to", tmp_path / "out", "--format", "parquet")
    assert {each.name for each in (tmp_path / "out").iterdir()} >= {"export.json", "event.parquet", "run.parquet"}
    typed("import", tmp_path / "out", f"sqlite:{tmp_path / 'there.db'}")
    typed("export", f"sqlite:{tmp_path / 'there.db'}", "--to", tmp_path / "there.jsonl")
    typed("export", store, "--to", tmp_path / "here.jsonl")
    here, there = [(tmp_path / name).read_text().splitlines()[1:-1] for name in ("here.jsonl", "there.jsonl")]
    assert sorted(here) == sorted(there)


def test_an_app_that_runs_is_exported_beside_and_not_imported_into(store, tmp_path, file):
    async def life():
        async with moving().running(store=store) as live:
            await live.call("hear", Said(who="ann", text="meanwhile"))
            return await asyncio.to_thread(typed, "export", store, "--to", tmp_path / "beside.jsonl", "--json")

    shown = asyncio.run(life())
    assert json.loads(shown.stdout)["rows"]["event"] > 4

    async def importing():
        async with moving().running(store=store):
            # Another process: this one shares its own lock.
            command = [sys.executable, "-m", "penstock.cli", "import", str(file), store]
            process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
            return (await process.communicate())[1].decode()

    assert "is in use by" in " ".join(asyncio.run(importing()).split())


def test_only_a_part_is_written(store, tmp_path):
    one = json.loads(typed("export", store, "--to", tmp_path / "a.jsonl", "--run", "bad:hear", "--json").stdout)
    assert one["rows"] == {"event": 1, "run": 1, "dead": 1, "progress": 1}
    topic = typed("export", store, "--to", tmp_path / "b.jsonl", "--topic", "heard", "--since", "1h", "--json")
    assert json.loads(topic.stdout)["rows"]["event"] == 3
    none = typed("export", store, "--to", tmp_path / "c.jsonl", "--until", "2020-01-01", "--json")
    assert json.loads(none.stdout)["rows"] == {}


def test_what_is_not_there_is_said(store, tmp_path):
    assert (
        "the run 'no:hear' is missing"
        in typed("export", store, "--to", tmp_path / "a", "--run", "no:hear", code=2).output
    )
    assert not (tmp_path / "a").exists()
    assert "--format: is 'csv'" in typed("export", store, "--to", tmp_path / "a", "--format", "csv", code=2).output
    assert "--since: is 'long ago'" in typed("export", store, "--since", "long ago", code=2).output
    assert "is missing" in typed("import", tmp_path / "no.jsonl", store, code=2).output


# bad files


def test_all_that_is_wrong_is_told_with_its_lines(file, tmp_path):
    lines = file.read_text().splitlines()
    places = [number for number, line in enumerate(lines) if '"kind":"run"' in line]
    lines[places[0]] = lines[places[0]].replace('"attempt":1', '"attempt":"one"')
    lines[places[1]] = lines[places[1]][:-20]
    lines[places[2]] = lines[places[2]].replace('"kind":"run"', '"kind":"rune"')
    blob = next(number for number, line in enumerate(lines) if '"kind":"blob"' in line)
    lines[blob] = lines[blob].replace("large", "small", 1)
    file.write_text("\n".join(lines) + "\n")
    said = refused(file, tmp_path)
    assert f"line {places[0] + 1}: Expected `int`, got `str` at `attempt`" in said
    assert f"line {places[1] + 1}: " in said
    assert f"line {places[2] + 1}: Invalid value 'rune' at `kind`" in said
    assert f"line {blob + 1}: has another content than its digest says" in said


def test_a_file_that_was_cut_off_is_refused(file, tmp_path):
    file.write_text("\n".join(file.read_text().splitlines()[:-3]) + "\n")
    assert "(end): the last line is missing: the file was cut off" in refused(file, tmp_path)


def test_a_line_that_was_taken_out_or_changed_is_noticed(file, tmp_path):
    lines = file.read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if '"kind":"value"' in line)
    file.write_text("\n".join(lines[:place] + lines[place + 1 :]) + "\n")
    assert "lines of value, and are" in refused(file, tmp_path)
    lines[place] = lines[place].replace('"name":"last"', '"name":"first"').replace('"name":"times"', '"name":"time"')
    file.write_text("\n".join(lines) + "\n")
    assert "the lines of value are not those that were exported" in refused(file, tmp_path)


@pytest.mark.parametrize(
    "body", [b"", b"\n", b"garbage", b"\xff\xfe\x00", b"{}\n{}\n", b'{"kind":"end","counts":{},"digests":{}}']
)
def test_what_is_no_export_is_refused(body, tmp_path):
    (tmp_path / "bad").write_bytes(body)
    assert "cannot accept" in refused(tmp_path / "bad", tmp_path)


def test_a_newer_format_is_refused_with_what_to_do(file, tmp_path):
    file.write_text(file.read_text().replace('"format":2', '"format":3', 1))
    assert "line 1: has format 3, this penstock knows 2 (use a newer penstock)" in refused(file, tmp_path)


def test_a_store_that_has_gone_on_is_left_alone(file, store):
    async def more():
        async with moving().running(store=store) as live:
            await live.call("hear", Said(who="ann", text="more"))

    asyncio.run(more())
    before = typed("runs", "list", "--store", store, "--json").stdout
    said = typed("import", file, store, code=2).output
    assert "the store has something else in the place of this one of its progress" in " ".join(said.split())
    assert typed("runs", "list", "--store", store, "--json").stdout == before


def test_many_findings_are_bounded(file, tmp_path):
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], *["{}"] * 5000]) + "\n")
    said = refused(file, tmp_path)
    assert "(more): 4901 more findings" in said
    assert msgspec.json.decode(lines[0].encode())["format"] == 2
