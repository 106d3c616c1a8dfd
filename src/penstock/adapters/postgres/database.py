"""Connections to the database, bounded in number and in time, and the one place where foreign errors become ours.

- Every wait has an end: for the server, for a connection of the pool, for a lock, for a statement.
- A connection has no state of its own beyond its settings, so giving it back to the pool costs no round trip.
- A commit that returned is on the disk: where `synchronous_commit` is off by default, these connections put it on (C1).
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from typing import Any, Protocol, TypeVar

from penstock.adapters.postgres.address import Address
from penstock.errors import Finding, Invalid, Missing, NotLetIn, PenstockError, Refused, Unavailable

CONNECTIONS_MAX = 8
CONNECT_S = 5.0
WAIT_S = 10.0  # for a free connection
STATEMENT_S = 30.0
LOCK_S = 10.0
IDLE_S = 10.0  # within a transaction: who stops there lets go of the claim's row
CLOSE_S = 5.0
ENCODING = "UTF8"
_SYNCHRONOUS = """
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""
# The first two characters of a state are its class: https://www.postgresql.org/docs/current/errcodes-appendix.html
_PASSING = {
    *(
        "08",
        "40",
        "53",
        "55",
        "57",
        "58",
    ),  # no connection, deadlock, full, locked, stopping or starting or too slow, I/O
    "25006",  # a standby: after a failover it takes writes, or the address leads elsewhere
    "XX000",
}
_ABSENT = {
    "3D000": ("the database", "make it with createdb, or name another one in the setting `store`"),
    "42P01": ("a table of the store", "run the app once, or name the schema of its store: ?schema=NAME"),
}
_HINTS = {
    "28": "check the user and the password in the setting `store`",
    "42501": "grant the user of the setting `store` the rights on the database and the schema",
    "22": "mend what is written",
    "54": "send less at once, or shorter names",
}
_NOT_LET_IN = {"28", "42501"}
T = TypeVar("T")
Row = Sequence[Any]


class Connection(Protocol):
    """What is used of asyncpg's connection."""

    async def fetch(self, query: str, *arguments: Any) -> list[Row]: ...
    async def fetchrow(self, query: str, *arguments: Any) -> Row | None: ...
    async def fetchval(self, query: str, *arguments: Any) -> Any: ...
    async def execute(self, query: str, *arguments: Any) -> str: ...
    def transaction(self) -> AbstractAsyncContextManager[Any]: ...
    async def add_listener(self, channel: str, callback: Callable[[Any, int, str, Any], None]) -> None: ...
    def add_termination_listener(self, callback: Callable[[Any], None]) -> None: ...
    async def close(self, *, timeout: float) -> None: ...  # noqa: ASYNC109 - the library's own parameter
    def terminate(self) -> None: ...


Work = Callable[[Connection], Awaitable[T]]


@asynccontextmanager
async def open_database(address: Address, setting: str = "") -> AsyncGenerator["Database"]:
    """Connect, and close all connections on leaving; `Missing` without the library or the database.

    Raises `Unavailable` when no server answers, `Refused` when it does not let us in.
    """
    database = Database(address, setting)
    await database.start()
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def connected(address: Address, *, writing: bool = False) -> AsyncGenerator[Connection]:
    """Open one connection beside the pool, and close it on leaving. Errors within the block become ours."""
    library = load()
    settings = _settings(address) | ({} if writing else {"default_transaction_read_only": "on"})
    try:
        connection = await library.connect(
            address.dsn, timeout=CONNECT_S, command_timeout=STATEMENT_S, server_settings=settings
        )
        try:
            yield connection
        finally:
            try:
                await connection.close(timeout=CLOSE_S)
            except _foreign(library):  # it must not take the place of what ended the block: that may be a cancellation
                connection.terminate()
    except _foreign(library) as error:
        raise translated(error, "reading") from error


class Database:
    """A pool of connections whose tables are those of one schema."""

    def __init__(self, address: Address, setting: str = "") -> None:
        """`setting`: what names it, where going on without it is better than giving up what it refuses to let in."""
        self.address = address
        self._setting = setting
        self._library = load()
        self._foreign = _foreign(self._library)
        self.taken: type[Exception] = self._library.UniqueViolationError  # a row with the same key is there already
        self._pool: Any = None

    async def start(self) -> None:
        """Connect for the first time."""
        try:
            self._pool = await self._library.create_pool(
                self.address.dsn,
                min_size=0,  # with a floor, the pool would log each failure to restore it while the server is away
                max_size=CONNECTIONS_MAX,
                timeout=CONNECT_S,
                command_timeout=STATEMENT_S + LOCK_S,
                server_settings=_settings(self.address),
                init=_synchronous,
                reset=_nothing,
            )
            async with self._pool.acquire(timeout=CONNECT_S):
                pass  # an address that leads nowhere is told now
        except self._library.ClientConfigurationError as error:
            finding = Finding("store", f"is no address of a Postgres: {error}", "mend the URL")
            raise Invalid("the settings", (finding,)) from error
        except self._foreign as error:
            raise self._ours(error, "connecting") from error

    async def ask(self, operation: str, work: Work[T]) -> T:
        """Do some work on a connection of the pool; errors of the library and the network become ours."""
        try:
            async with self._pool.acquire(timeout=WAIT_S) as connection:
                return await work(connection)
        except self._foreign as error:
            raise self._ours(error, operation) from error

    async def transact(self, operation: str, work: Work[T]) -> T:
        """Do some work within one transaction."""

        async def within(connection: Connection) -> T:
            async with connection.transaction():
                return await work(connection)

        return await self.ask(operation, within)

    def _ours(self, error: Exception, operation: str) -> PenstockError:
        state = str(getattr(error, "sqlstate", None) or "")
        if self._setting and (state[:2] in _NOT_LET_IN or state in _NOT_LET_IN):
            return NotLetIn("postgres", operation, self._setting, str(error))
        return translated(error, operation)

    async def close(self) -> None:
        """Let what is under way end, for a while, and then close all connections."""
        try:
            await asyncio.wait_for(self._pool.close(), CLOSE_S)
        except (TimeoutError, *self._foreign):
            self._pool.terminate()


def load() -> Any:
    """Return the library; `Missing` without the extra."""
    try:
        return import_module("asyncpg")
    except ImportError as error:
        raise Missing("asyncpg, which speaks to Postgres,", "pip install 'penstock[postgres]'") from error


def translated(error: Exception, operation: str) -> Unavailable | Refused | Invalid | Missing:
    """Return the error of ours that says what a caller can do about one of Postgres, of its library, or of the network."""
    state = str(getattr(error, "sqlstate", None) or "")
    reason = str(error) or type(error).__name__
    if not state:
        return _without_state(error, operation, reason)
    if state[:2] in _PASSING or state in _PASSING:
        return Unavailable("postgres", operation, reason)
    if state in _ABSENT:
        what, hint = _ABSENT[state]
        return Missing(f"{what} ({reason})", hint)
    if state[:2] == "XX":
        return Invalid("the database", (Finding(operation, reason, "restore a backup"),))
    hint = _HINTS.get(state, _HINTS.get(state[:2], "change the call: repeating it will not help"))
    return Refused(f"postgres refused {operation}: {reason}", hint)


def _without_state(error: Exception, operation: str, reason: str) -> Unavailable | Refused:
    """Judge what did not come from the server: the network (or a wait that ended), the library, a value of ours."""
    if isinstance(error, OSError):  # TimeoutError is one
        return Unavailable("postgres", operation, reason)
    closed = "pool is clos" in reason or "pool is not initialized" in reason
    if isinstance(error, ValueError | OverflowError) or closed:  # half a character, more than 64 bits
        return Refused(f"postgres cannot do {operation}: {reason}", "mend what is written, or open the store again")
    return Unavailable("postgres", operation, reason)


def _foreign(library: Any) -> tuple[type[Exception], ...]:
    own: tuple[type[Exception], ...] = (library.PostgresError, library.InterfaceError, library.InternalClientError)
    return (*own, OSError, TimeoutError, UnicodeEncodeError, OverflowError)


def _settings(address: Address) -> dict[str, str]:
    return {
        "application_name": "penstock",
        "search_path": address.schema,
        "statement_timeout": _ms(STATEMENT_S),
        "lock_timeout": _ms(LOCK_S),
        "idle_in_transaction_session_timeout": _ms(IDLE_S),
        "jit": "off",  # our statements are short, and compiling one takes longer than running it
    }


def _ms(seconds: float) -> str:
    return str(int(seconds * 1000))


async def _synchronous(connection: Connection) -> None:
    await connection.execute(_SYNCHRONOUS)


async def _nothing(connection: Connection) -> None:
    """Reset nothing: the library has rolled back what was open."""
