"""What lies outside the store: who executed which step, and the answers that were delivered.

Lines are appended with one write each and are read after a crash, so that nobody has to believe the store's own account.
"""

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Step = tuple[str, str]  # run id, step


class Outside:
    """A folder with `executed.log` (a line per execution of a step) and `delivered.log` (a line per answer)."""

    def __init__(self, folder: Path, life: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._life = life
        self._executed = os.open(folder / "executed.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
        self._delivered = os.open(folder / "delivered.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)

    def executing(self, run_id: str, step: str) -> None:
        """Note that a step is executed now."""
        os.write(self._executed, f"{self._life}\t{run_id}\t{step}\n".encode())

    def deliver(self, key: str, answer: dict[str, Any]) -> None:
        """Take an answer. A receiver knows by the key what it has got before; this one keeps every line to count."""
        os.write(self._delivered, json.dumps({"key": key, "question": answer["question"]}).encode() + b"\n")

    def executions(self) -> list[tuple[int, str, str]]:
        """Return (life, run id, step) of all executions so far, in order."""
        lines = (self._folder / "executed.log").read_text(encoding="utf-8").splitlines()
        parts = [line.split("\t") for line in lines]
        return [(int(life), run_id, step) for life, run_id, step in parts]

    def deliveries(self) -> Counter[str]:
        """Return how often each key was delivered."""
        lines = (self._folder / "delivered.log").read_text(encoding="utf-8").splitlines()
        return Counter(json.loads(line)["key"] for line in lines)

    def repeated(self, recorded: Mapping[Step, int]) -> tuple[int, int]:
        """Count the executions of steps that were executed before, given the life before whose end each came to the disk.

        Returns how many came in a life after that one, which must not be (C4), and how many in the unknown window: the kill
        came between the execution and its durable record.
        """
        executions = self.executions()
        again = sum((run_id, step) in recorded and life > recorded[run_id, step] for life, run_id, step in executions)
        times = Counter((run_id, step) for _, run_id, step in executions)
        return again, sum(count - 1 for count in times.values()) - again
