"""Workers as Ray actors: one actor each, which Ray places where there is room, and whose death Ray tells.

Ray carries bytes, which are ours; nothing of the user's is pickled. What Ray raises is translated here.
"""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar, cast

import msgspec

from penstock.adapters.ray.actor import HandlingActor, Ready
from penstock.adapters.ray.address import Address, address_of
from penstock.core.agents.resources import Resources
from penstock.core.hosting.faults import error_of
from penstock.errors import Finding, Invalid, Missing, PenstockError, Unavailable
from penstock.ports.host import Place

CONNECT_S = 60.0  # the door of Ray Client starts a process for each who comes in
TRIES = 4
DOOR_FAILED = "Starting Ray client server failed"  # it forks amid its threads, which fails now and then
LEAVE_S = 10.0
PROBE_S = 3.0
SETTINGS = b"\0\0\0\4\0\0\0\0\0"  # the frame with which both sides of HTTP/2 begin
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS
ROOM_S = 120.0  # a cluster that grows by itself needs its time for another node
_log = logging.getLogger("penstock")
T = TypeVar("T")


@asynccontextmanager
async def open_ray(url: str, *, room_s: float = ROOM_S) -> AsyncGenerator["RayHost"]:
    """Connect to a Ray. `Invalid`: the setting names none, or one of another version; `Unavailable`: it does not answer."""
    address = address_of(url)
    ray = _imported()
    was_connected: bool = ray.is_initialized()
    if not was_connected:
        if address.host:
            await asyncio.to_thread(_probe, address, url)
        await _connected(ray, address, url)
    again = None if was_connected else lambda: _connected(ray, address, url)
    try:
        yield RayHost(ray, room_s, again)
    finally:
        if not was_connected:
            await _left(ray)


class RayHost:
    """A Ray cluster. Ray Client gives up a connection that was broken for half a minute: who needs one then makes another."""

    def __init__(self, ray: Any, room_s: float, again: Callable[[], Awaitable[None]] | None = None) -> None:
        self._ray = ray
        self._room_s = room_s
        self._again = again
        self._turn = asyncio.Lock()
        self._actors: Any = ray.remote(HandlingActor)

    async def start(self, place: Place) -> "RayWorker":
        """Start an actor with the resources of the place."""
        await self._require_connection()
        try:
            return await self._started(place)
        except Unavailable as error:
            # Ray Client notices that its connection is lost when something is asked of it, and not at once.
            if self._again is None or not isinstance(error.__cause__, ConnectionError | RuntimeError):
                raise
            await self._connect_again()
            return await self._started(place)

    async def _started(self, place: Place) -> "RayWorker":
        wanted = place.resources
        options = {
            "num_cpus": wanted.cpus,
            "num_gpus": wanted.gpus,
            "resources": dict(wanted.custom) or None,
            "max_restarts": 0,  # another one is another worker: it knows nothing of the handlings of this one
            "max_task_retries": 0,
        }
        what = f"start a worker of {place.name!r}"
        try:
            async with asyncio.timeout(self._room_s):
                actor = await apart(lambda: self._actors.options(**options).remote(place.entry, place.body))
        except TimeoutError as error:
            raise Unavailable("host", what, f"Ray took no order within {self._room_s:g} s") from error
        except Exception as error:
            raise _death(place.name, "start", error) from error
        worker = RayWorker(self._ray, actor, place.name)
        try:
            async with asyncio.timeout(self._room_s):
                ready = await worker.ready()
        except TimeoutError as error:
            await worker.end()
            raise Unavailable(
                "host", what, f"no node had room for {_shown(wanted)} within {self._room_s:g} s"
            ) from error
        except BaseException:
            await worker.end()
            raise
        if ready.fault is not None:
            await worker.end()
            raise error_of(ready.fault)
        _log.info("a worker of %r is process %d on %s", place.name, ready.pid, ready.node)
        return worker

    async def _require_connection(self) -> None:
        if self._again is not None and not self._ray.is_initialized():
            await self._connect_again()

    async def _connect_again(self) -> None:
        before = self._actors
        async with self._turn:
            if self._again is not None and self._actors is before:  # nobody else did meanwhile
                _log.warning("the connection to Ray is lost: connecting again")
                await _left(self._ray)
                await self._again()
                self._actors = self._ray.remote(HandlingActor)


class RayWorker:
    """One actor."""

    def __init__(self, ray: Any, actor: Any, name: str) -> None:
        self._ray = ray
        self._actor = actor
        self._name = name
        self.pid = 0  # on its node

    async def ready(self) -> Ready:
        """Return where it is, and why it cannot serve, if so."""
        ready = msgspec.msgpack.decode(await self._answer("start", self._actor.ready.remote), type=Ready)
        self.pid = ready.pid
        return ready

    async def say(self, body: bytes) -> None:
        await self._answer("handle", lambda: self._actor.say.remote(body))

    async def hear(self) -> bytes:
        return await self._answer("handle", self._actor.hear.remote)

    async def end(self) -> None:
        actor, self._actor = self._actor, _Ended(self._name)
        if not isinstance(actor, _Ended):
            with suppress(Exception):  # it may be dead already, or the cluster may be
                async with asyncio.timeout(LEAVE_S):
                    await apart(lambda: self._ray.kill(actor, no_restart=True))

    async def _answer(self, operation: str, call: Callable[[], Any]) -> Any:
        try:
            reference = call()
        except Exception as error:
            raise _death(self._name, operation, error) from error
        # The future is Ray's: to cancel it would break what else Ray has to say to this process.
        waiting = asyncio.wrap_future(reference.future())
        waiting.add_done_callback(_retrieved)
        try:
            return await asyncio.shield(waiting)
        except (asyncio.CancelledError, PenstockError):
            raise
        except Exception as error:
            raise _death(self._name, operation, error) from error


class _Ended:
    """Stands in for an actor that was ended."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, _: str) -> Any:
        raise Unavailable(f"the worker of {self._name!r}", "handle", "it was ended")


def _retrieved(future: "asyncio.Future[Any]") -> None:
    """Take note of an error that nobody waits for any more."""
    if not future.cancelled():
        future.exception()


def _death(name: str, operation: str, error: Exception) -> PenstockError:
    said = str(error).strip()
    if "No module named 'penstock'" in said:
        return Missing("host: penstock in Ray's Python", "pip install penstock there, the same version")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    reason = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return Unavailable(f"the worker of {name!r}", operation, reason[:300])


async def apart(call: Callable[[], T]) -> T:
    """Call what may block for ever, in a thread of its own that holds up neither this loop nor the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def told(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(cast("T", result))

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = call()
        except BaseException as raised:  # noqa: BLE001 - whoever waits gets it
            error = raised
        with suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(told, result, error)

    threading.Thread(target=run, name="penstock-ray", daemon=True).start()
    return await done


async def _connected(ray: Any, address: Address, url: str) -> None:
    """Connect; where the door of Ray Client failed to open by no fault of ours, try it again."""
    for left in reversed(range(TRIES)):
        try:
            async with asyncio.timeout(CONNECT_S):
                await apart(lambda: _connect(ray, address))
        except Exception as error:
            if not left or DOOR_FAILED not in str(error):
                raise _refusal(url, error) from error
            _log.warning("Ray Client at %s could not start a process for us: trying again", url)
        else:
            return


async def _left(ray: Any) -> None:
    with suppress(Exception):  # a Ray that is gone needs no farewell
        async with asyncio.timeout(LEAVE_S):
            await apart(ray.shutdown)


def _imported() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Else Ray starts a cluster in this process when the connection to the one that was asked for is lost.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise Missing("Ray's library", "pip install 'penstock[ray]', of the version of the cluster") from error
    return ray  # pyright: ignore[reportUnknownVariableType]


def _connect(ray: Any, address: Address) -> None:
    more = {} if address.address.startswith("ray://") else {"configure_logging": False}
    ray.init(address=address.address, log_to_driver=False, logging_level=logging.ERROR, **more)


def _probe(address: Address, url: str) -> None:
    """Say within seconds that nobody listens there, or no gRPC, which Ray speaks: Ray itself would try for a long time."""
    try:
        with socket.create_connection((address.host, address.port), PROBE_S) as connection:
            connection.settimeout(PROBE_S)
            connection.sendall(HTTP2)
            said = b"" if os.environ.get("RAY_USE_TLS") == "1" else connection.recv(len(SETTINGS))
    except OSError as error:
        raise Unavailable("host", "connect", f"no Ray answers at {url}: {error}") from error
    if os.environ.get("RAY_USE_TLS") != "1" and said[3:4] != SETTINGS[3:4]:
        raise Unavailable("host", "connect", f"what listens at {url} is no Ray")


def _refusal(url: str, error: Exception) -> PenstockError:
    said = str(error)
    if "ersion" in said and ("mismatch" in said or "differ" in said or "match" in said):
        hint = "run the engine with the cluster's versions of Python and Ray"
        return Invalid("the settings", (Finding("host", f"{url}: {said.strip()[:500]}", hint),))
    lines = said.strip().splitlines()
    if DOOR_FAILED in said:
        hint = "start the cluster with GRPC_ENABLE_FORK_SUPPORT=0 (ray-project/ray#63202); its ray_client_server*.err say more"
        return Unavailable(
            "host", "connect", f"{url}: Ray Client could not start a process for us, {TRIES} times: {hint}"
        )
    reason = (
        "it gave no answer that Ray understands" if isinstance(error, TimeoutError) else lines[0][:300] if lines else ""
    )
    return Unavailable("host", "connect", f"{url}: {type(error).__name__} {reason}")


def _shown(wanted: Resources) -> str:
    """Return what a worker needs, as people read it."""
    parts = [f"{wanted.cpus:g} CPU", f"{wanted.gpus:g} GPU"] if wanted.gpus else [f"{wanted.cpus:g} CPU"]
    return ", ".join([*parts, *(f"{each:g} {name}" for name, each in wanted.custom.items())])
