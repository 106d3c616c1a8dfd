"""What `penstock knowledge forget` does: on a store that no app has open, or over HTTP with the app that runs."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from rich.console import Console

from penstock.cli.knowing import Place, app_of, owned, require_store
from penstock.cli.looking import print_json
from penstock.cli.remote import posted
from penstock.cli.tables import printable
from penstock.cli.written_files import require_writable, written
from penstock.core.agents.forgetting import Receipt, Traces, read_receipt
from penstock.errors import Refused
from penstock.runtime.forgetting_control import WITHIN_S
from penstock.settings import settings

if TYPE_CHECKING:
    from penstock.app import Running

T = TypeVar("T")


def forget(place: Place, subject: str, out: Path | None, *, as_json: bool) -> None:
    require_writable(out, "--out")  # afterwards there would be no second receipt
    with Console(stderr=True).status("forgetting: looking through log and files"):
        if place.url:
            plain = posted(
                place.url, "/v1/subjects/forget", {"subject": subject}, tenant=place.tenant, within_s=WITHIN_S
            )
            receipt = read_receipt(plain)
        else:
            receipt = _here(place, lambda live: live.forget(subject, tenant=place.tenant))
    plain = msgspec.to_builtins(receipt)
    if out is not None:
        try:
            with written(out, "--out") as file:
                file.write(msgspec.json.format(msgspec.json.encode(receipt)) + b"\n")
        except Refused:
            print_json(plain)  # it is made once: it must not be lost
            raise
    if as_json:
        print_json(plain)
    else:
        _show(receipt, out)


def _show(receipt: Receipt, out: Path | None) -> None:
    print(f"forgotten: {receipt.subject} of tenant {receipt.tenant}")
    for kind, count in receipt.erased.items():
        print(f"  {kind:22} {count:>9,}")
    print(f"  {'keys destroyed':22} {receipt.keys:>9,}")
    for kind, count in receipt.left.items():
        print(f"  left: {kind:16} {count:>9,}")
    checked = receipt.checked
    print(f"looked for {checked.needles:,} texts in {checked.files:,} files ({checked.bytes:,} bytes): ", end="")
    print("nothing found" if not checked.found else f"{len(checked.found)} found, perhaps said by others too:")
    for each in checked.found:
        print(f"  {printable(each)}")
    print("not covered:")
    for each in receipt.not_covered:
        print(f"  {each}")
    if out is not None:
        print(f"the receipt is in {printable(str(out))}: penstock knowledge receipt {printable(str(out))}")


def check(place: Place, subject: str, texts: list[str], *, as_json: bool) -> int:
    """Look for what is left, and return the exit code: 1 when something is."""
    with Console(stderr=True).status("looking through log and files"):
        if place.url:
            body = {"subject": subject, "texts": texts}
            plain = posted(place.url, "/v1/subjects/traces", body, tenant=place.tenant, within_s=WITHIN_S)
            traces = msgspec.convert(plain, Traces)
        else:
            traces = _here(place, lambda live: live.traces(subject, texts=texts, tenant=place.tenant))
    if as_json:
        print_json(msgspec.to_builtins(traces))
    else:
        print(f"{traces.events:,} events, {traces.passages:,} passages, {traces.keys:,} keys; ", end="")
        print(f"{len(traces.checked.found):,} texts in {traces.checked.files:,} files")
        for each in traces.checked.found:
            print(f"  {printable(each)}")
    return 0 if traces.is_nothing else 1


def is_receipt(place: Place, plain: Any, subject: str) -> bool:
    if place.url:
        body = {"receipt": plain, "subject": subject}
        return posted(place.url, "/v1/subjects/receipts", body, tenant=place.tenant)["valid"]

    async def asked(live: "Running") -> bool:
        return live.is_receipt(plain, subject)

    return _here(place, asked)


def _here(place: Place, work: "Callable[[Running], Awaitable[T]]") -> T:
    app, _ = app_of(place)
    require_store(place, app.name)

    async def running() -> T:
        async with app.running(settings(place.flags)) as live:
            return await work(live)

    return owned(running)
