"""Files as documents: their text is taken out when they are put, so whoever puts a broken one hears it at once.

- What the log holds is the text, whole: a build from the log needs no file, and a file that changed or went changes nothing.
- A file may be named by reference, `s3://BUCKET/KEY`: it lies where the setting `objects` says, and is read once.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from penstock.core.knowledge.chunking import Document
from penstock.errors import Finding, Invalid, LimitReached, Missing, Refused
from penstock.ports.objects import Objects

FILE_BYTES_MAX = 10 * 1024 * 1024
REFERENCE = "s3://"


class Files:
    """What reads files, and where those lie that are named by reference."""

    def __init__(self, read: Callable[[str, bytes], Document], objects: Objects | None) -> None:
        """`read` returns the document in a file of some name, or raises `Refused` or `Missing`; it may block."""
        self._read = read
        self._objects = objects

    async def document(self, name: str, body: bytes) -> Document:
        """Return the document in a file, under its name; `Refused` when it cannot be read, `Missing` for want of a package."""
        if len(body) > FILE_BYTES_MAX:
            raise LimitReached(f"the size of {name!r}, in bytes,", len(body), FILE_BYTES_MAX, "split the file")
        return await asyncio.to_thread(self._read, name, body)

    async def referred(self, reference: str) -> Document:
        """Return the document in an object, under its reference; `Missing` when there is no such object."""
        bucket, slash, key = reference.removeprefix(REFERENCE).partition("/")
        if not (reference.startswith(REFERENCE) and bucket and slash and key):
            raise Invalid("the file", (Finding("file", f"is {reference!r}", f"{REFERENCE}BUCKET/KEY"),))
        if self._objects is None:
            raise Missing("the setting `objects`", "say where files lie: objects = file:FOLDER, or s3:")
        about = await self._objects.about(bucket, key)
        if about is None:
            raise Missing(f"the object {reference}", "name one that is there")
        if about.size > FILE_BYTES_MAX:
            raise LimitReached(f"the size of {reference}, in bytes,", about.size, FILE_BYTES_MAX, "split the file")
        found = await self.document(key, await self._objects.read(about, 0, about.size) if about.size else b"")
        return replace(found, id=reference, metadata={**found.metadata, "source": reference, "document": reference})

    async def all_referred(self, references: Sequence[str]) -> list[Document]:
        """Return the documents in objects; `Invalid` with all that is wrong with them."""
        found: list[Document] = []
        findings: list[Finding] = []
        for each in references:
            try:
                found.append(await self.referred(each))
            except Invalid as error:
                findings += error.findings
            except (LimitReached, Missing, Refused) as error:
                findings.append(Finding(each, str(error)))
        if findings:
            raise Invalid("the files", tuple(findings))
        return found
