"""What takes space in the store, and having go now what may go."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from penstock.errors import Missing
from penstock.gateway.callers import RunningApp
from penstock.gateway.problems import documented
from penstock.gateway.storage_shapes import PrunedShown, StorageShown, pruned_shape, usage_shape

routes = APIRouter(prefix="/v1/storage", tags=["server"])


class Prune(BaseModel):
    """How it is to be done."""

    dry_run: bool = Field(default=False, description="Only say what would go.")


@routes.get("", summary="What takes space", responses=documented(503))
async def show_storage(running: RunningApp) -> StorageShown:
    """Return what takes space, most first, of all tenants. Each table of the store is read once."""
    return usage_shape(await running.engine.parts.store.usage())


@routes.post("/prune", summary="Remove what may go", responses=documented(404, 422, 503))
async def prune(running: RunningApp, asked: Prune | None = None) -> PrunedShown:
    """Do now what the janitor does now and then: what the app's retention lets go is removed, and archived first if it says so.

    A worker that shares its store removes what belongs to its own partitions, and what belongs to none.
    """
    janitor = running.engine.janitor
    if janitor is None:
        raise Missing("the janitor", "this app keeps everything")
    dry = asked is not None and asked.dry_run
    return pruned_shape(await (janitor.foresee() if dry else janitor.tidy()), dry=dry)
