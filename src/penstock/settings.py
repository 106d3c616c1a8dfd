"""The settings of an app: from `penstock.toml`, then the environment (PENSTOCK_STORE, ...), then flags; the later wins."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path

from penstock.errors import Finding, Invalid

FILE = "penstock.toml"
PREFIX = "PENSTOCK_"
ALIKE = 0.75  # from where on a variable counts as a setting that is mistyped
POSTGRES = ("postgresql", "postgres")
REDIS = ("redis", "rediss")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where an app's data lies, and which models it uses.

    `store`: "sqlite:PATH", "postgresql://USER@HOST/DATABASE?schema=NAME", "redis://HOST:PORT/0?prefix=NAME" or
    "memory:"; empty: `.penstock/APP.db` in the working folder.
    `model`: "offline:extractive", "openai:NAME", "ollama:NAME", ..., or "http://host/v1#NAME".
    `embedder`: "static", "minilm", "openai:NAME" or "sentence-transformers:NAME".
    `refiner`: an embedder that is better and slower ("minilm"): it follows in the background, and refines what is found.
    `reranker`: what judges the best of each search anew: "words", "minilm", "cohere:NAME", "jina:NAME" or "http://HOST/v1#NAME".
    `vectors`: where vectors are kept, if not in the store, with the words: "postgresql://USER@HOST/DATABASE?schema=NAME"
    (pgvector), "qdrant://HOST:PORT", "milvus://HOST:PORT", "weaviate://HOST:PORT?grpc_port=PORT", "pinecone:INDEX",
    "usearch:FOLDER"; keys come from QDRANT_API_KEY and its kin. See docs/knowledge.md.
    `vectors_answer_s`: how many seconds a search waits for vectors that lie there, before it goes on by words alone.
    `log`: the broker that the app's events go over, "kafka://HOST:PORT", "nats://HOST:PORT" or "redis://HOST:PORT", each
    with "?partitions=8"; empty: from agent to agent through the store. How TLS and passwords are told: docs/deploy/cluster.md.
    `objects`: where the Maps of state machines read and write: "file:FOLDER", "s3:" or "s3:http://HOST:PORT"; empty: nowhere.
    `services`: who carries out what their tasks call: empty for penstock itself, "aws" or "aws:http://HOST:PORT"; or for some
    services alone, "sqs=aws,dynamodb=aws:http://HOST:PORT".
    `host`: where the handlers of agents are executed: empty for this process, "ray://HOST:PORT" (Ray Client), "ray:HOST:PORT"
    (from a machine of the cluster), or "ray" (the cluster of this machine). See docs/hosts.md.
    `streams`: where the app's streams are executed: empty for this process, "flink" for a job that is run beside it
    (`penstock flink run APP.PY --streams`), between the topics of the same Kafka. See docs/deploy/flink.md.
    """

    store: str = ""
    model: str = "offline:extractive"
    embedder: str = "static"
    objects: str = ""
    services: str = ""
    vectors: str = ""
    vectors_answer_s: str = "3"
    refiner: str = ""
    log: str = ""
    reranker: str = ""
    host: str = ""
    streams: str = ""


def require_streams(chosen: Settings) -> None:
    """Raise `Invalid`, with all findings, where what is said of streams cannot be."""
    findings: list[Finding] = []
    if chosen.streams not in ("", "flink"):
        findings.append(Finding("streams", f"is {chosen.streams!r}", "flink; leave it empty for this process"))
    if chosen.streams and not chosen.log.startswith("kafka://"):
        problem = f"is {shown_url(chosen.log)!r}, and the job that runs the streams reads and writes Kafka"
        findings.append(Finding("log", problem, "give log=kafka://HOST:PORT, as to penstock flink run --streams"))
    if findings:
        raise Invalid("the settings", tuple(findings))


def in_scratch(chosen: Settings) -> Settings:
    """Return the settings for a run of which nothing is kept, and that meets nobody else."""
    return replace(chosen, store="memory:", log="", host="", streams="")


def settings(
    flags: Mapping[str, str | None] | None = None,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings in force; `Invalid` with all findings for what is not known."""
    environment = os.environ if environment is None else environment
    names = [each.name for each in fields(Settings)]
    given: dict[str, str] = _from_file((folder or Path()) / FILE, names)
    given |= {
        name: environment[f"{PREFIX}{name.upper()}"] for name in names if environment.get(f"{PREFIX}{name.upper()}")
    }
    given |= {name: value for name, value in (flags or {}).items() if value}
    hint = f"one of {', '.join(names)}"
    findings = [Finding(name, "is not a setting", hint) for name in sorted(given.keys() - set(names))]
    if findings := [*findings, *_slips(environment, names)]:
        raise Invalid("the settings", tuple(findings))
    return replace(Settings(), **given)


def _slips(environment: Mapping[str, str], names: list[str]) -> list[Finding]:
    """Find variables that are nearly a setting: one that is mistyped would be passed over without a word."""
    rest = [name.removeprefix(PREFIX).lower() for name in environment if name.startswith(PREFIX)]
    meant = {name: get_close_matches(name, names, 1, ALIKE) for name in rest if name not in names}
    return [
        Finding(f"{PREFIX}{name.upper()}", "is not a setting", f"{PREFIX}{close[0].upper()} is")
        for name, close in meant.items()
        if close
    ]


def store_url(chosen: Settings, app: str) -> str:
    """Return where the settings put the store of an app."""
    return chosen.store or f"sqlite:.penstock/{app}.db"


def shown_url(url: str) -> str:
    """Return an address as people and logs may see it: without passwords, tokens and keys."""
    shown = re.sub(r"(?<=//)([^/@?:]*):.*@", r"\1:***@", url)
    shown = re.sub(r"^(nats|tls)://[^:@/?]+@", r"\1://***@", shown)  # a token
    shown = re.sub(r"(?<=registry=)[^&]*(@|%40)", r"***\1", shown)
    return re.sub(
        r"((?:password|secret|token|pem|jaas\.config|oauthbearer\.config)=)[^&]*", r"\1***", shown, flags=re.IGNORECASE
    )


def path_of(rest: str) -> Path:
    """Return the path in "sqlite:PATH" and "sqlite:///PATH"."""
    return Path(rest.removeprefix("//") if rest.startswith("///") else rest).expanduser()


def _from_file(path: Path, names: list[str]) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(str(path), (Finding("(whole)", str(error), "write it as TOML"),)) from error
    findings = [
        Finding(name, "is not a setting", f"one of {', '.join(names)}") for name in document if name not in names
    ]
    findings += [
        Finding(name, f"is {value!r}", "a text")
        for name, value in document.items()
        if name in names and not isinstance(value, str)
    ]
    if findings:
        raise Invalid(str(path), tuple(findings))
    return {name: str(value) for name, value in document.items()}
