"""What `penstock route` does."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from penstock.adapters.documents.examples import OUTSIDE, examples_of, read_pairs
from penstock.cli.charts import histogram
from penstock.cli.loading import loaded_app
from penstock.cli.looking import print_fields, print_json, print_table
from penstock.cli.progress import bar
from penstock.cli.tables import printable
from penstock.core.routing.judging import judged
from penstock.core.routing.router import Routed, checked, work_of
from penstock.core.routing.stored import encode_model
from penstock.embedders import Embedders
from penstock.errors import Finding, Invalid, Refused
from penstock.runtime.routing import TEXTS_AT_ONCE, LiveRouter, RouterPlan, learn, read_model
from penstock.settings import settings

Decide = Callable[[Sequence[str]], Coroutine[Any, Any, list[Routed]]]
CONFUSED_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Place:
    """Where a router is: a file, an app's, or that of the app that runs at an address."""

    file: Path
    app: Path | None
    name: str
    tenant: str
    embedder: str | None
    url: str | None


def fit(path: Path, out: Path, embedder: str | None, outside: Sequence[str] | None, *, as_json: bool) -> None:
    examples = checked(examples_of(read_pairs(path, OUTSIDE if outside is None else outside)))

    async def work() -> Any:
        async with AsyncExitStack() as stack:
            opened = await Embedders({}, stack).open(embedder or settings().embedder)
            with bar("learning", work_of(examples), is_shown=not as_json) as advance:
                return await learn(examples, opened, advance)

    stored = asyncio.run(work())
    try:
        out.write_bytes(encode_model(stored))
    except OSError as error:
        raise Refused(f"{out} cannot be written ({error.strerror})", "give --out another file") from error
    held = stored.model.held_out
    told = {
        "router": str(out),
        "version": stored.digest[:8],
        "routes": len(examples.routes),
        "examples": sum(map(len, examples.routes.values())),
        "outside": len(examples.outside),
        "embedder": stored.embedder,
        "held_out": msgspec.to_builtins(held),
    }
    if as_json:
        print_json(told)
        return
    shares = (
        f"{held.right:.1%} right, {held.kept:.1%} found in scope; {held.refused:.1%} of {held.unknown:,} others not"
    )
    print_fields({**told, "held_out": f"{held.known:,} examples: {shares}" if held.known else "too few examples"})


def decided(place: Place, texts: Sequence[str]) -> list[Routed]:
    """Return where texts belong."""
    if place.url is not None:
        return _over_http(place, texts)
    if place.app is None:
        return asyncio.run(_by_file(place, texts))

    async def work() -> list[Routed]:
        assert place.app is not None
        app = loaded_app(place.app)
        names = list(app.routers)
        name = place.name or (names[0] if len(names) == 1 else "")
        if name not in names:
            problem = f"{name!r} is not one of the app's" if name else "must be given"
            raise Invalid("the options", (Finding("--name", problem, f"one of {', '.join(names) or 'none'}"),))
        async with app.running(settings({"embedder": place.embedder})) as live:
            return await _in_parts(live.router(name, tenant=place.tenant).choose_many, texts)

    from penstock.cli.knowing import owned

    return owned(work)


async def _by_file(place: Place, texts: Sequence[str]) -> list[Routed]:
    path = place.file
    async with AsyncExitStack() as stack:
        embedders = Embedders({}, stack)
        made_with = read_model(path).embedder
        spec = place.embedder or ("minilm" if made_with.startswith("minilm") else settings().embedder)
        router = LiveRouter(RouterPlan(path.stem, file=str(path)), await embedders.open(spec))

        async def choose(part: Sequence[str]) -> list[Routed]:
            return await router.choose_many(part, place.tenant)

        return await _in_parts(choose, texts)


async def _in_parts(choose: Decide, texts: Sequence[str]) -> list[Routed]:
    found: list[Routed] = []
    with bar("deciding", len(texts), is_shown=len(texts) > TEXTS_AT_ONCE) as advance:
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            part = texts[start : start + TEXTS_AT_ONCE]
            found += await choose(part)
            advance(len(part))
    return found


def _over_http(place: Place, texts: Sequence[str]) -> list[Routed]:
    from penstock.cli.remote import asked, posted

    assert place.url is not None
    name = place.name
    if not name:
        names = asked(place.url, "/v1/routers", tenant=place.tenant)["routers"]
        if len(names) != 1:
            raise Invalid("the options", (Finding("--name", "must be given", f"one of {', '.join(names) or 'none'}"),))
        (name,) = names
    found: list[Routed] = []
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        body = {"texts": list(texts[start : start + TEXTS_AT_ONCE])}
        answer = posted(place.url, f"/v1/routers/{quote(name, safe='')}", body, tenant=place.tenant)
        found += msgspec.convert(answer["choices"], list[Routed])
    return found


def show(texts: Sequence[str], choices: Sequence[Routed], *, as_json: bool) -> None:
    """Print choices."""
    if as_json:
        shown = [{"text": text, **msgspec.to_builtins(each)} for text, each in zip(texts, choices, strict=True)]
        print_json({"choices": shown})
        return
    rows = [
        {
            "route": printable(each.route or "(none)"),
            "score": f"{each.score:.2f}",
            "runner-up": f"{printable(each.runner_up)} {each.runner_up_score:.2f}",
            "nearest": printable(each.ranked[0][0]),
            "text": printable(text),
            "reason": "",
        }
        for text, each in zip(texts, choices, strict=True)
    ]
    print_table(
        (("route", "score", "runner-up", "nearest", "text"), ("route", "score", "text"), ("route", "score")), rows
    )


def evaluate(place: Place, path: Path, outside: Sequence[str] | None, plot: Path | None, *, as_json: bool) -> None:
    """Print how well a router decides."""
    pairs = read_pairs(path, OUTSIDE if outside is None else outside)
    texts, routes = [text for text, _ in pairs], [route for _, route in pairs]
    choices = decided(place, texts)
    told = judged(routes, choices)
    if plot is not None:
        _draw(plot, path, routes, choices)
    if as_json:
        print_json(msgspec.to_builtins(told))
        return
    print(f"{path}: {told.in_scope:,} texts in scope, {told.out_of_scope:,} out of it")
    print_fields(
        {
            "accuracy in scope": f"{told.accuracy:.1%} ({told.accuracy_without_refusals:.1%} if none were refused)",
            "refused in scope": f"{told.refused_in_scope:.1%}",
            "out-of-scope recall": f"{told.out_of_scope_recall:.1%}" if told.out_of_scope else "",
            "out-of-scope precision": f"{told.out_of_scope_precision:.1%}" if told.out_of_scope else "",
        }
    )
    for route, taken_for, count in told.confused[:CONFUSED_SHOWN]:
        print(f"{count:>6}  {printable(route or '(none)')} taken for {printable(taken_for or '(none)')}")
    if plot is not None:
        print(f"drawn in {plot}")


def _draw(plot: Path, path: Path, routes: Sequence[str], choices: Sequence[Routed]) -> None:
    pairs = list(zip(routes, choices, strict=True))
    lots = {
        "in scope, right": [each.score for route, each in pairs if route and each.ranked[0][0] == route],
        "in scope, another route": [each.score for route, each in pairs if route and each.ranked[0][0] != route],
        "out of scope": [each.score for route, each in pairs if not route],
    }
    picture = histogram(f"{path.name}: scores; from 0.5 on a text is in scope", lots, at=0.5)
    try:
        plot.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise Refused(f"{plot} cannot be written ({error.strerror})", "give --plot another file") from error
