"""Writers and searchers who never stop, and who check every search against what was acknowledged before it began.

Each writer has documents of its own, and numbers what it does with them: editions, some of several sections, and now and then a
removal. An answer that has a passage of an edition before the last acknowledged one, or lacks the document, is stale.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

from pipeline_service import Client, Failed

DOCUMENTS = 5  # of each writer; odd, so that each document has odd and even editions
PLAIN = 0.25  # of the searches ask the whole library
REMOVE_EACH = 7  # so many editions of a document, then a removal
WORDS = ["valve", "turbine", "sluice", "gauge", "rotor", "spillway"]


@dataclass
class Known:
    """What is known of a document: its last edition that was acknowledged (or seen), and what was begun since."""

    edition: int = 0
    is_removed: bool = True
    token: str | None = None  # of a write that was only durable when it was acknowledged
    removals_begun: list[int] = field(default_factory=list)


class Load:
    """Writers and searchers at work on a service until the block is left."""

    def __init__(self, url: str, questions: list[str], *, writers: int = 2, searchers: int = 4, seed: int = 1) -> None:
        self.phase = "before"
        self.searches: Counter[str] = Counter()  # by phase
        self.generations: Counter[int] = Counter()
        self.writes = 0
        self.failed: list[str] = []
        self.stale: list[str] = []
        self.mixed = 0  # answers with passages of several editions of one document
        self.search_ms: list[float] = []
        self._questions = questions
        self._known: dict[str, Known] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._url = url
        self._threads = [
            *(
                threading.Thread(target=self._work, args=(self._write, number, random.Random(seed + number)))
                for number in range(writers)
            ),
            *(
                threading.Thread(
                    target=self._work,
                    args=(
                        self._search,
                        n,
                        random.Random(seed - 1 - n),
                    ),
                )
                for n in range(searchers)
            ),
        ]

    def __enter__(self):
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for each in self._threads:
            each.join()

    def run_for(self, seconds: float) -> None:
        self._over.wait(seconds)

    def _work(self, what: Callable[[Client, int, random.Random], None], number: int, chance: random.Random) -> None:
        with Client(self._url) as client:
            what(client, number, chance)

    def _write(self, client: Client, number: int, chance: random.Random) -> None:
        edition = 0
        while not self._over.is_set():
            edition += 1
            document = f"moving/{number}-{edition % DOCUMENTS}"
            is_removal = (edition // DOCUMENTS) % REMOVE_EACH == REMOVE_EACH - 1
            consistency = chance.choice(["strong", "eventual"])
            event = event_of(document, edition, f"writer-{number}", is_removal=is_removal)
            with self._lock:
                known = self._known.setdefault(document, Known())
                if is_removal:
                    known.removals_begun.append(edition)
            try:
                written = client.events([event], consistency)
            except Failed as error:
                self.failed.append(f"write: {error}")
                return
            with self._lock:
                known.edition, known.is_removed = edition, is_removal
                known.token = None if consistency == "strong" else written["token"]
                self.writes += 1

    def _search(self, client: Client, _: int, chance: random.Random) -> None:
        while not self._over.is_set():
            if chance.random() < PLAIN:
                self._asked(client, chance.choice(self._questions), self.phase)
                continue
            with self._lock:
                document = chance.choice(list(self._known) or [""])
                known = self._known.get(document, Known())
                before, token, was_removed = known.edition, known.token, known.is_removed
            phase = self.phase
            asked = {
                "filter": {"document_id": document},
                "top_k": 50,
                "mode": chance.choice(["hybrid", "words", "vectors"]),
            }
            answer = self._asked(client, text_of(document)[0], phase, **asked, **({"after": token} if token else {}))
            if answer is None:
                continue
            found = [int(each["metadata"]["edition"]) for each in answer["results"]]
            with self._lock:
                self.mixed += len(set(found)) > 1
                may_be_gone = was_removed or any(each > before for each in known.removals_begun)
                if any(each < before for each in found):
                    self.stale.append(f"{document} while {phase}: found {sorted(set(found))} after {before}")
                elif not found and not may_be_gone:
                    how = f"{asked['mode']}, generation {answer.get('generation')}, token {bool(token)}, now {known}"
                    self.stale.append(f"{document} while {phase}: not found after {before}: {how}")
                if found and max(found) > known.edition:  # what one search has seen, the next ones must see
                    known.edition, known.is_removed, known.token = max(found), False, None

    def _asked(self, client: Client, question: str, phase: str, **options):
        """Return an answer; none where it failed, or where a question about what is always there found nothing."""
        began = perf_counter()
        try:
            answer = client.search(question, **options)
        except Failed as error:
            self.failed.append(f"search while {phase}: {error}")
            return None
        with self._lock:
            self.searches[phase] += 1
            self.search_ms.append((perf_counter() - began) * 1000)
            self.generations[answer.get("generation", 0)] += bool(answer["results"])
            if not answer["results"] and not options:
                self.stale.append(f"{question!r} while {phase}: nothing found")
        return answer


def text_of(document: str) -> tuple[str, list[str]]:
    """Return a question about a document, and its sections."""
    word = WORDS[sum(map(ord, document)) % len(WORDS)]
    return f"the {word} of {document}", [f"the {word} of {document}, part {part}" for part in range(3)]


def event_of(document: str, edition: int, agent: str, *, is_removal: bool) -> dict:
    """Return an event in the form of S0. Even editions have one section, odd ones three: their passages must go again."""
    _, sections = text_of(document)
    text = "\n\n".join(
        f"# {each}\n\n{f'{each}, in edition {edition}. ' * 12}" for each in sections[: 3 if edition % 2 else 1]
    )
    return {
        "event_id": f"{agent}-{document}-{edition}",
        "timestamp": 1_764_000_000_000 + edition,
        "agent_id": agent,
        "action": "DELETE" if is_removal else "UPDATE",
        "payload": "" if is_removal else text,
        "metadata": {"document_id": document, "edition": str(edition)},
        "embedding": None,
    }
