"""What is measured of penstock alone: memory of an idle app, storage over many turns, where a turn's time goes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import sides
from sides import HERE, NotMeasured, environment, fresh_folder, last_json, started

IDLE_WITHIN_S = 60.0
STORAGE_WITHIN_S = 420.0
FLAME_WITHIN_S = 120.0
FLAME_BYTES_MAX = 300_000
SAMPLES_A_SECOND = 100


def idle() -> dict[str, float]:
    """Return the resident memory of a process with an app that does nothing, in MiB."""
    found = {}
    for name, more in (("app", []), ("knowledge", ["--knowledge"])):
        with fresh_folder() as folder:
            command = [sys.executable, str(HERE / "idle.py"), "--folder", str(folder), *more]
            with started(command) as process:
                found[name] = last_json(process, IDLE_WITHIN_S)["rss_mb"]
    return found


def storage(docs: Path | None) -> dict[str, Any]:
    """Return what 10,000 turns of one session take, and draw it."""
    with fresh_folder() as folder:
        with started([sys.executable, str(HERE / "storage.py"), "--folder", str(folder)]) as process:
            found = last_json(process, STORAGE_WITHIN_S)
        if docs is not None:
            data = folder / "storage.json"
            data.write_text(json.dumps(found), encoding="utf-8")
            python = environment(HERE / "plots") / "venv" / "bin" / "python"
            _run([str(python), str(HERE / "plots" / "draw.py"), str(data), str(docs / "storage.svg")], IDLE_WITHIN_S)
    return found


def flame(docs: Path | None, seconds: float) -> str:
    """Draw where the time of turns goes, and return how that was seen."""
    if docs is None:
        return "not drawn"
    place = environment(HERE / "plots") / "venv" / "bin"
    picture = docs / "flame.svg"
    with fresh_folder() as folder:
        stacks = folder / "stacks.txt"
        bench = [sys.executable, "-m", "penstock.bench", "--json", "--seconds", str(2 * seconds), "--warmup", "0"]
        bench += ["--store", f"sqlite:{folder / 'turns.db'}"]
        record = [str(place / "py-spy"), "record", "--function", "--format", "raw", "--rate", str(SAMPLES_A_SECOND)]
        _run([*record, "--output", str(stacks), "--", *bench], FLAME_WITHIN_S)
        _run([str(place / "python"), str(HERE / "plots" / "flame.py"), str(stacks), str(picture)], IDLE_WITHIN_S)
    if (size_bytes := picture.stat().st_size) > FLAME_BYTES_MAX:
        picture.unlink()
        raise NotMeasured(f"the flame graph has {size_bytes} bytes, more than {FLAME_BYTES_MAX}")
    return f"py-spy, {SAMPLES_A_SECOND} samples a second"


def _run(command: list[str], within_s: float) -> None:
    with started(command) as process:
        try:
            _, complaints = process.communicate(timeout=within_s)
        except subprocess.TimeoutExpired as error:
            raise NotMeasured(f"{Path(command[0]).name} did not end within {within_s:g} s") from error
    if process.returncode:
        raise NotMeasured(f"{Path(command[0]).name} ended with {process.returncode}: {sides.last_lines(complaints)}")
