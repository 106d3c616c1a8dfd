"""The limits that several workers share: each handling under one needs a permit, and the store gives out no more than it says.

- A worker takes as many as it can use, and keeps them while it does; what it has not used for a while it gives back.
- Where several want some, each comes to a fair part: who has more gives back as its handlings end. Where there are fewer permits
  than workers, they take turns, a `SLICE_S` each.
- A permit is given back when no handling needs it any more, and used only when the store has given it: so no moment sees more.
"""

import asyncio
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TypeAlias

from penstock.core.agents.gate import Gate, Member
from penstock.ports.clock import Clock
from penstock.ports.permits import NAMES_MAX, Holding, Permits, Wish
from penstock.ports.state import Claim
from penstock.runtime.lanes import Delivery
from penstock.runtime.lines import GatedLine, Line

REST_S = 0.002  # those who are stopped at the same time are asked for together
LOOK_S = 0.05  # while this worker wants more than it has
REFRESH_S = 0.25  # others may want some of what it has
KEPT_S = 0.5  # nobody else wants it
SLICE_S = 0.25
Which: TypeAlias = tuple[str, Member]  # the agent, and the group of those whom one limit concerns


class _Share:
    """What this worker has of one limit."""

    __slots__ = ("asked_s", "cap", "held", "rests_until_s", "since_s", "told", "used_s", "wanted")

    def __init__(self, now_s: float) -> None:
        self.held = 0  # as the store knows it
        self.cap = 0  # how many of them may be used
        self.wanted = 0
        self.told = Holding("", 0)  # what the store said last of the others
        self.asked_s = self.since_s = -1e9
        self.used_s = now_s  # when all of it was needed
        self.rests_until_s = 0.0


class SharedLimits:
    """The permits of one worker."""

    def __init__(self, permits: Permits, claim: Claim, clock: Clock, lines: Mapping[str, Line]) -> None:
        self._permits = permits
        self._claim = claim
        self._clock = clock
        self._lines = lines
        self._shares: dict[Which, _Share] = {}
        self.woken = asyncio.Event()  # somebody is stopped by a limit, or has given up what others want

    async def run(self) -> None:
        """See to the permits until cancelled; `Fenced` when this worker was silent for too long."""
        while True:
            self.woken.clear()
            await self._look()
            await self._clock.sleep(REST_S)
            if not self.woken.is_set():
                await self._woken(LOOK_S if self._shares else None)

    async def _woken(self, within_s: float | None) -> None:
        timer = None if within_s is None else asyncio.get_running_loop().call_later(within_s, self.woken.set)
        await self.woken.wait()
        if timer is not None:
            timer.cancel()

    async def _look(self) -> None:
        now_s = self._clock.monotonic_s()
        gates = [(name, line) for name, line in self._lines.items() if isinstance(line, GatedLine)]
        wanted = {(name, member) for name, line in gates for member in line.gate.shared}
        wishes = [(which, wish) for which in wanted | self._shares.keys() if (wish := self._wish(which, now_s))]
        for first in range(0, len(wishes), NAMES_MAX):
            page = wishes[first : first + NAMES_MAX]
            holdings = await self._permits.hold(self._claim, [wish for _, wish in page])
            self._given([which for which, _ in page], holdings)

    def _wish(self, which: Which, now_s: float) -> Wish | None:
        """Return what to ask the store for; None when there is nothing to ask. What is to be given back is used no more."""
        gate = self._gate(which)
        group, limit = gate.shared.get(which[1]), gate.limits[which[1][0]]
        running = 0 if group is None else group.running
        wanted = 0 if group is None else min(limit, max(group.asked, running))
        share = self._shares.get(which)
        if share is None:
            if not wanted:
                return None
            share = self._shares[which] = _Share(now_s)
        share.cap = self._cap(share, wanted, limit, now_s)
        gate.grant(which[1], min(share.cap, share.held))
        held = max(share.cap, min(running, share.held))
        due_s = share.asked_s + (LOOK_S if held > share.held else REFRESH_S)
        is_news = held < share.held or (wanted > share.held) != (share.wanted > share.held)
        if now_s < due_s and not is_news:
            return None
        share.wanted, share.asked_s = wanted, now_s
        return Wish(_name(which), limit, held, wanted)

    def _cap(self, share: _Share, wanted: int, limit: int, now_s: float) -> int:
        """Return how many of a limit this worker is to use."""
        if wanted and wanted >= share.held:
            share.used_s = now_s
        told = share.told
        if not told.short:
            return max(wanted, share.held if now_s < share.used_s + KEPT_S else 0)
        least, more = divmod(limit, told.others + 1)
        if least == 0 and told.starving and share.held and now_s >= share.since_s + SLICE_S:
            share.rests_until_s = now_s + LOOK_S * (1 + self._clock.random())
        if now_s < share.rests_until_s:
            return 0
        return min(wanted, max(1, least + (more > 0 and not told.starving)))

    def _given(self, asked: Sequence[Which], holdings: Sequence[Holding]) -> None:
        now_s = self._clock.monotonic_s()
        for which, holding in zip(asked, holdings, strict=True):
            share = self._shares[which]
            if holding.held and not share.held:
                share.since_s = now_s
            share.held, share.told = holding.held, holding
            self._gate(which).grant(which[1], min(share.cap, share.held))
            if not (share.held or share.wanted):
                del self._shares[which]
        for agent in dict.fromkeys(agent for agent, _ in asked):
            line = self._line(agent)
            line.turn(line)

    def _line(self, agent: str) -> GatedLine:
        line = self._lines[agent]
        assert isinstance(line, GatedLine), agent
        return line

    def _gate(self, which: Which) -> Gate[Delivery]:
        return self._line(which[0]).gate


def _name(which: Which) -> str:
    """Return under which name the store keeps a limit; values of fields may be long."""
    agent, (rule, tenant, value, _) = which
    if not (tenant or value):
        return f"{agent}#{rule}"
    parts = [part.encode("utf-8", "surrogatepass") for part in (tenant, value)]
    digest = blake2b(len(parts[0]).to_bytes(4) + b"".join(parts), digest_size=16).hexdigest()
    return f"{agent}#{rule}:{digest}"
