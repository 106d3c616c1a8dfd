"""What takes space, and having it go, over HTTP."""

from desk import client_of

from penstock import App, Event, Keep, Retention


class Job(Event, key="customer"):
    customer: str


async def test_it_says_what_takes_space_and_removes_what_may_go(tmp_path):
    app = App("works", retention=Retention(events=Keep(count=3), runs_days=0))

    @app.agent
    async def work(job: Job) -> None:
        pass

    async with app.running(store=f"sqlite:{tmp_path / 'works.db'}") as running, client_of(running) as client:
        await running.engine.send_many([Job(customer=str(number)) for number in range(10)])
        assert await running.engine.settled(10)
        await running.engine.services.committer.durable()
        shown = (await client.get("/v1/storage")).json()
        rows = {(each["kind"], each["name"]): each["rows"] for each in shown["parts"]}
        assert (rows["events", "job"], rows["runs", "work"]) == (10, 10)
        assert shown["total_bytes"] > 10_000
        foreseen = (await client.post("/v1/storage/prune", json={"dry_run": True})).json()
        assert [(each["kind"], each["name"], each["rows"]) for each in foreseen["parts"]] == [("events", "job", 7)]
        done = (await client.post("/v1/storage/prune")).json()
        assert (done["parts"], done["dry_run"]) == (foreseen["parts"], False)
        assert (await client.post("/v1/storage/prune", json={"dry_run": "perhaps"})).status_code == 422
        again = (await client.get("/v1/storage")).json()
        assert {(each["kind"], each["name"]): each["rows"] for each in again["parts"]}["events", "job"] == 3


async def test_a_store_in_memory_says_it_too():
    app = App("works")

    @app.agent
    async def work(job: Job) -> None:
        pass

    async with app.running(store="memory:") as running, client_of(running) as client:
        await running.call("work", Job(customer="a"))
        assert (await client.get("/v1/storage")).json()["parts"][0]["rows"] == 1
