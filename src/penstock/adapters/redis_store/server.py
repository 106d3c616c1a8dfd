"""The connection to a Redis: its scripts, what must be so of it, and its errors as ours."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from penstock.adapters.redis_store.address import Address
from penstock.adapters.redis_store.names import Keys
from penstock.adapters.redis_store.packing import script_packed
from penstock.core.events.tls_errors import tls_setting_of
from penstock.errors import Finding, Invalid, Missing, PenstockError, Refused, Unavailable

try:
    from redis import asyncio as redis
    from redis import exceptions as foreign
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
except ImportError as error:
    raise Missing("the package redis", "pip install 'penstock[redis]'") from error

FORMAT = 1
VERSION_MIN = (7, 0)
CONNECTIONS_MAX = 16
CONNECT_S = 5.0
START_S = 8.0
ANSWER_S = 30.0  # a large commit, or another's long script, may take a while
CLOSE_S = 5.0
WAIT_S = 30.0  # for a connection, when all are busy
COMMIT_BYTES_MAX = 128 * 1024 * 1024  # of one script: Redis does nothing else meanwhile
PAGE = 500
_log = logging.getLogger(__name__)
_FOREIGN = (foreign.RedisError, OSError, TimeoutError, UnicodeEncodeError)
# What Redis says when it is the moment, and not the call, that is wrong.
_PASSING = (
    "LOADING",
    "BUSY",
    "MASTERDOWN",
    "OOM",
    "MISCONF",
    "READONLY",
    "NOREPLICAS",
    "TRYAGAIN",
    "max number of clients",
)
_RIGHTS = "give the user +@all on ~{PREFIX}* and &{PREFIX}*, or write another one: redis://USER:PASSWORD@HOST:6379"


@asynccontextmanager
async def open_server(address: Address, keys: Keys, *, quiet: bool = False) -> AsyncGenerator["Server"]:
    """Connect, and see whether it is a Redis that a store can lie in; `Invalid` names what is wrong with it.

    `quiet`: nobody is going to write, and need not be warned.
    """
    server = Server(address, keys)
    try:
        await server.require(quiet=quiet)
        yield server
    finally:
        await server.close()


class Server:
    """A Redis. What it is asked raises our errors."""

    def __init__(self, address: Address, keys: Keys) -> None:
        self.address = address
        self.keys = keys
        self.is_closed = False
        self._asked = set[asyncio.Future[Any]]()
        client: Any = redis.Redis  # parts of it are not typed
        pool: Any = redis.BlockingConnectionPool
        self._pool = pool.from_url(
            address.url,
            max_connections=CONNECTIONS_MAX,
            timeout=WAIT_S,
            socket_connect_timeout=CONNECT_S,
            socket_timeout=ANSWER_S,
            protocol=2,
            retry=Retry(NoBackoff(), 0),  # who asks decides whether to ask again
        )
        self.client: Any = client(connection_pool=self._pool)
        self._apply: Any = self.client.register_script(_script("apply.lua"))
        self._workers: Any = self.client.register_script(_script("workers.lua"))

    async def require(self, *, quiet: bool) -> None:
        """Raise `Invalid` where a store would not be safe, and warn of what may be lost."""
        try:
            async with asyncio.timeout(
                START_S
            ):  # later a long script of another's is waited for, here it is somebody else
                info: dict[str, Any] = await self.ask("connecting", self.client.info("everything"))
        except TimeoutError as error:
            raise Unavailable("redis", "connecting", f"it said nothing within {START_S:g} s") from error
        findings = _findings(info)
        if findings:
            raise Invalid(f"the Redis at {self.address.shown}", tuple(findings))
        if quiet:
            return
        try:
            set_to: dict[str, str] = await self.client.config_get("appendfsync")
        except foreign.ResponseError:  # where nobody may ask for it
            set_to = {}
        for warning in warnings(info, set_to.get("appendfsync", "")):
            _log.warning("Redis at %s: %s", self.address.shown, warning)

    async def make(self) -> None:
        """Begin a store where there is none."""
        number = int(await self.work("open", FORMAT))
        if number > FORMAT:
            hint = "open it with the version of penstock that wrote it, or choose another prefix: ?prefix=NAME"
            raise Invalid(
                "the store in Redis", (Finding("format", f"is {number}, this penstock knows {FORMAT}", hint),)
            )

    async def require_made(self) -> None:
        """Raise `Missing` where there is no store."""
        if not await self.ask("looking for the store", self.client.hexists(self.keys.meta, "format")):
            hint = "run the app once, or name the prefix of its store: ?prefix=NAME"
            raise Missing(f"a store of the prefix {self.address.prefix} in the Redis at {self.address.shown}", hint)

    async def ask(self, operation: str, answer: Any) -> Any:
        """Wait for an answer; errors of the library and the network become ours.

        It is asked to the end even when the caller goes away: the library would give up a connection for each who does, and at
        some places takes the cancellation for its own.
        """
        if self.is_closed:
            answer.close()
            raise Refused(f"Redis cannot do {operation}: the store is closed", "open the store again")
        asked = asyncio.ensure_future(answer)
        self._asked.add(asked)
        asked.add_done_callback(self._answered)
        try:
            return await asyncio.shield(asked)
        except _FOREIGN as error:
            raise translated(error, operation) from error

    def _answered(self, asked: "asyncio.Future[Any]") -> None:
        self._asked.discard(asked)
        if not asked.cancelled():
            asked.exception()  # who went away does not ask for it

    async def all(self, operation: str, commands: Sequence[Sequence[Any]], *, moment: bool = False) -> list[Any]:
        """Ask several things in one round trip; `moment`: as they are at one moment."""
        if not commands:
            return []
        pipeline = self.client.pipeline(transaction=moment)
        for command in commands:
            pipeline.execute_command(*command)
        return await self.ask(operation, pipeline.execute())

    async def work(self, what: str, *arguments: Any) -> Any:
        """Run a function of `workers.lua`."""
        return await self.ask(what, self._workers(keys=[self.keys.meta], args=[what, script_packed(arguments)]))

    async def apply(self, lists: Sequence[tuple[list[Any], list[Any]]]) -> list[bool]:
        """Write lists of writes, each as its guards allow it, and return which were written."""
        if not lists:
            return []
        return [bool(each) for each in await self.ask("writing", self._run("lists", script_packed(lists)))]

    async def commit(self, given: bytes) -> str:
        """Run a commit, and return what became of it."""
        return (await self.ask("commit", self._run("commit", given))).decode()

    def _run(self, what: str, given: bytes) -> Any:
        if len(given) > COMMIT_BYTES_MAX:
            raise Refused(
                f"a commit of {len(given):,} bytes is more than Redis is given at once ({COMMIT_BYTES_MAX:,})",
                "write less at once",
            )
        return self._apply(keys=[self.keys.meta], args=[what, given])

    async def forget(self, beginning: bytes) -> None:
        """Remove all keys that begin like this."""
        cursor: Any = 0
        while True:
            ((cursor, found),) = await self.all(
                "forgetting", [(b"SCAN", cursor, b"MATCH", beginning + b"*", b"COUNT", PAGE)]
            )
            if found:
                await self.all("forgetting", [(b"UNLINK", *found)])
            if int(cursor) == 0:
                return

    async def close(self) -> None:
        """Let what is under way end, for a while, and then close all connections."""
        self.is_closed = True
        if self._asked:
            await asyncio.wait(self._asked, timeout=CLOSE_S)
        for asked in self._asked:
            asked.cancel()
        if self._asked:  # or what they had connected would be left open
            await asyncio.wait(self._asked, timeout=CONNECT_S)
        try:
            await asyncio.wait_for(self.client.aclose(), CONNECT_S)
            await asyncio.wait_for(self._pool.aclose(), CONNECT_S)
        except _FOREIGN:
            _log.debug("Redis did not close its connections")


def warnings(info: dict[str, Any], appendfsync: str) -> list[str]:
    """Return what may be lost with a Redis that is set up like this."""
    if not info.get("aof_enabled"):
        snapshot = (
            "all since its last snapshot"
            if info.get("rdb_saves") or info.get("rdb_last_bgsave_time_sec", -1) >= 0
            else "everything"
        )
        return [f"it keeps no log on disk: {snapshot} is lost when it ends. Set appendonly yes and appendfsync always"]
    if appendfsync == "no":
        return ["what was committed in the last half minute is lost with the machine's power. Set appendfsync always"]
    if appendfsync == "everysec":
        return ["what was committed in the last second or two is lost with the machine's power. Set appendfsync always"]
    return []


def _findings(info: dict[str, Any]) -> list[Finding]:
    findings: list[Finding] = []
    version = str(info.get("redis_version", "0"))
    if tuple(int(each) for each in version.split(".")[:2] if each.isdigit()) < VERSION_MIN:
        findings.append(Finding("store", f"is Redis {version}", "use Redis 7.0 or later, or Valkey"))
    if info.get("cluster_enabled"):
        hint = "name a Redis that is no node of a cluster, with replicas if it must not fail"
        findings.append(Finding("store", "is a node of a Redis cluster", hint))
    if info.get("role") == "slave":
        where = f"{info.get('master_host')}:{info.get('master_port')}"
        findings.append(Finding("store", "is a replica, which nobody may write to", f"name the master: {where}"))
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy.startswith("allkeys"):
        hint = "set maxmemory-policy noeviction: a store must not lose rows for want of memory"
        findings.append(Finding("store", f"throws keys away when memory is short (maxmemory-policy {policy})", hint))
    return findings


def translated(error: Exception, operation: str) -> PenstockError:  # noqa: PLR0911 - one for each thing that can be wrong
    """Return the error of ours that says what a caller can do."""
    reason = str(error) or type(error).__name__
    if setting := tls_setting_of(error):
        return Invalid("the settings", (Finding("store", f"Redis does not let us in: {reason}", f"set {setting}"),))
    if isinstance(error, foreign.InvalidResponse):
        hint = "name the port of a Redis"
        return Invalid("the settings", (Finding("store", f"what listens there is no Redis: {reason}", hint),))
    if isinstance(error, UnicodeEncodeError):
        return Refused(f"Redis cannot keep it: {reason}", "mend the text")
    if (
        isinstance(error, foreign.AuthenticationError | foreign.AuthorizationError)
        or "NOAUTH" in reason
        or "WRONGPASS" in reason
    ):
        hint = "set REDIS_USERNAME and REDIS_PASSWORD, or write redis://USER:PASSWORD@HOST:6379"
        return Invalid("the settings", (Finding("store", f"Redis does not let us in: {reason}", hint),))
    if isinstance(error, foreign.NoPermissionError) or "NOPERM" in reason:
        return Invalid("the settings", (Finding("store", f"Redis refused {operation}: {reason}", _RIGHTS),))
    if isinstance(error, foreign.ResponseError):
        if "invalid DB index" in reason or "DB index is out of range" in reason:
            return Invalid(
                "the settings", (Finding("store", f"Redis says: {reason}", "name a database that it has: /0"),)
            )
        # What a script met begins with its own words, and has those of Redis within.
        if not any(each in reason for each in _PASSING):
            return Refused(f"Redis refused {operation}: {reason}")
    return Unavailable("redis", operation, reason)


def _script(name: str) -> str:
    return files("penstock.adapters.redis_store").joinpath(name).read_text()
