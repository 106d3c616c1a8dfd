"""The part of a conformance test that is about knowledge: written by a worker that is killed, found by the next one."""

from dataclasses import asdict

from penstock.app import Running
from penstock.core.knowledge.passages import Passage
from penstock.runtime.write_points import WritePoint
from penstock.testing.conformance.child import SIGKILLED, lived
from penstock.testing.conformance.depot import TENANTS, library
from penstock.testing.conformance.life import Life
from penstock.testing.conformance.places import Places
from penstock.testing.conformance.plan import Plan, passage_id
from penstock.testing.conformance.report import Report

KILL = (WritePoint.DURING_COMMIT, 20)


async def read_library(where: Places, plan: Plan, report: Report) -> list[str]:
    """Put passages, die, look for them; return what is found at the end."""
    row, chosen = report["knowledge"], where.library
    life = Life(90, asdict(chosen), str(where.folder), plan, KILL[0].value, KILL[1], where.collection)
    code, said = await lived(life)
    row.expect(code == SIGKILLED, f"the library's life ended with code {code}: {said[-1:]}")
    put = [name for what, name, _ in said if what == "put"]
    found = list[str]()
    async with library(where.collection).running(chosen) as live:
        lost = [name for name in put if name not in await _all_of(live, where.collection, name.partition("-")[0], plan)]
        for tenant in TENANTS:
            passages = [
                Passage(passage_id(tenant, number), f"The {tenant} fact number {number}.")
                for number in range(plan.passages)
            ]
            await live.knowledge(where.collection, tenant=tenant).put(passages, consistency="strong")
            all_of = await _all_of(live, where.collection, tenant, plan)
            row.expect(len(all_of) == plan.passages, f"{tenant} finds {len(all_of)} passages, not {plan.passages}")
            strange = [each for each in all_of if not each.startswith(f"{tenant}-")]
            row.expect(not strange, f"{tenant} finds {strange}")
            found += all_of
        for tenant in TENANTS:
            ids = [passage_id(tenant, number) for number in range(plan.passages)]
            await live.knowledge(where.collection, tenant=tenant).delete(ids, consistency="strong")
            left = await _all_of(live, where.collection, tenant, plan)
            row.expect(not left, f"{tenant} finds {left}, which were removed")
    row.findings += [f"lost: {each}" for each in lost]
    row.tried = (
        "passages put by a worker that is killed: the next one finds what was told as found, once, until its removal"
    )
    row.counts |= {"put before the kill": len(put), "lost": len(lost), "found at the end": len(found)}
    return found


async def _all_of(live: Running, collection: str, tenant: str, plan: Plan) -> list[str]:
    held = live.knowledge(collection, tenant=tenant)
    found = await held.search("fact number", limit=2 * plan.passages)
    return sorted(each.id for each in found)
