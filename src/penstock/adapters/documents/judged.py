"""Judged collections in the form of BEIR: corpus.jsonl, queries.jsonl, and qrels.tsv or qrels/test.tsv.

What is wrong with a folder is said all at once, with file and line. Documents that were judged and are not there are no error:
published collections have some.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from penstock.core.knowledge.judging import Judged, JudgedDocument, is_telling
from penstock.errors import Finding, Invalid, Missing

FINDINGS_MAX = 50
LINE_CHARS_MAX = 16 * 1024 * 1024

_FORM = "a folder has corpus.jsonl, queries.jsonl, and qrels.tsv or qrels/test.tsv"
_DOCUMENT_FORM = '{"_id": "1", "title": "...", "text": "..."}'
_QUERY_FORM = '{"_id": "q1", "text": "..."}'
_QREL_FORM = "query-id, corpus-id and score, with tabs between them"
_COLUMNS = 3
_TREC_COLUMNS = 4


def read_judged(folder: Path, *, split: str = "") -> Judged:
    """Read a folder; `split` names a file of `qrels/` (default: qrels.tsv, else qrels/test.tsv).

    Raises `Missing` for what is no folder, `Invalid` with all findings.
    """
    if not folder.is_dir():
        raise Missing(f"the folder {str(folder)!r}", f"name one that is there: {_FORM}")
    reading = _Reading(folder)
    qrels = _qrels_file(folder, split)
    documents = reading.documents(folder / "corpus.jsonl")
    queries = reading.queries(folder / "queries.jsonl")
    relevant = reading.judgements(qrels, queries)
    if not reading.findings and not any(map(is_telling, relevant.values())):
        reading.wrong(qrels, 0, "judges no document as relevant", "give scores above 0, of queries in queries.jsonl")
    reading.require_good()
    return Judged(documents, queries, relevant)


def _qrels_file(folder: Path, split: str) -> Path:
    if split:
        return folder / "qrels" / f"{split}.tsv"
    plain = folder / "qrels.tsv"
    return plain if plain.exists() else folder / "qrels" / "test.tsv"


class _Reading:
    """One reading of a folder: what it found wrong so far."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.findings: list[Finding] = []
        self._more = 0

    def wrong(self, path: Path, line: int, problem: str, hint: str) -> None:
        if len(self.findings) >= FINDINGS_MAX:
            self._more += 1
            return
        name = str(path.relative_to(self._folder))
        self.findings.append(Finding(f"{name}:{line}" if line else name, problem, hint))

    def require_good(self) -> None:
        if self._more:
            self.findings.append(Finding("(more)", f"{self._more:,} more findings", "mend these first"))
        if self.findings:
            raise Invalid(f"the judged collection {self._folder}", tuple(self.findings))

    def documents(self, path: Path) -> list[JudgedDocument]:
        found: list[JudgedDocument] = []
        for line, name, values in self._objects(path, _DOCUMENT_FORM):
            text = self._text(path, line, values, "text", _DOCUMENT_FORM)
            title = "" if values.get("title") is None else self._text(path, line, values, "title", _DOCUMENT_FORM)
            found.append(JudgedDocument(name, text, title))
        if not found and not self.findings:
            self.wrong(path, 0, "has no documents", f"write one a line: {_DOCUMENT_FORM}")
        return found

    def queries(self, path: Path) -> dict[str, str]:
        return {
            name: self._text(path, line, values, "text", _QUERY_FORM)
            for line, name, values in self._objects(path, _QUERY_FORM)
        }

    def judgements(self, path: Path, queries: Mapping[str, str]) -> dict[str, dict[str, float]]:
        relevant: dict[str, dict[str, float]] = {}
        for line, text in self._lines(path, _FORM):
            columns = text.split("\t") if "\t" in text else text.split()
            if len(columns) == _TREC_COLUMNS:  # trec_eval's own form: query, iteration, document, judgement
                columns = [columns[0], *columns[2:]]
            if len(columns) != _COLUMNS:
                self.wrong(path, line, f"has {len(columns)} columns", f"write {_QREL_FORM}")
                continue
            query, document, score = (column.strip() for column in columns)
            grade = _number(score)
            if grade is None:
                if line > 1:  # the first line may name the columns
                    self.wrong(path, line, f"has the score {score!r}", "write a number: 0 for not relevant, 1 and up")
                continue
            if query in queries:
                relevant.setdefault(query, {})[document] = grade
        return relevant

    def _objects(self, path: Path, form: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
        seen = set[str]()
        for line, text in self._lines(path, _FORM):
            try:
                values: object = msgspec.json.decode(text)
            except (msgspec.DecodeError, UnicodeError) as error:
                self.wrong(path, line, f"is no JSON ({error})", f"write {form}")
                continue
            if not isinstance(values, dict):
                self.wrong(path, line, "is no object", f"write {form}")
                continue
            fields = cast("dict[str, Any]", values)
            name = fields.get("_id")
            if isinstance(name, int) and not isinstance(name, bool):
                name = str(name)
            if not isinstance(name, str) or not name:
                self.wrong(path, line, "has no _id", f"write {form}")
            elif name in seen:
                self.wrong(path, line, f"has the _id {name!r} of a line before", "give each its own")
            else:
                seen.add(name)
                yield line, name, fields

    def _text(self, path: Path, line: int, values: Mapping[str, Any], name: str, form: str) -> str:
        value = values.get(name)
        if isinstance(value, str):
            return value
        self.wrong(path, line, f"has no text in {name!r}", f"write {form}")
        return ""

    def _lines(self, path: Path, hint: str) -> Iterator[tuple[int, str]]:
        try:
            with path.open(encoding="utf-8-sig", newline="\n") as file:
                for number, line in enumerate(file, start=1):
                    if len(line) > LINE_CHARS_MAX:
                        self.wrong(path, number, f"is longer than {LINE_CHARS_MAX:,} characters", "cut the document")
                    elif line.strip():
                        yield number, line.rstrip("\r\n")
        except FileNotFoundError:
            self.wrong(path, 0, "is missing", hint)
        except UnicodeDecodeError as error:
            self.wrong(path, 0, f"is no UTF-8 ({error.reason} at byte {error.start})", "convert it to UTF-8")
        except OSError as error:
            self.wrong(path, 0, f"cannot be read ({error.strerror})", "see who may read it")


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
