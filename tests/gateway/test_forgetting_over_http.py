"""Somebody is forgotten over HTTP, within the tenant of the request; names stand in bodies only."""

from desk import client_of

from penstock import App, Passage

ANNA = "anna@example.org"


async def test_a_subject_is_forgotten_traced_and_the_receipt_is_checked():
    app = App("library")
    app.knowledge("books")
    async with app.running(store="memory:") as running, client_of(running) as client:
        for tenant in ("default", "u"):
            books = running.knowledge("books", tenant=tenant)
            await books.put(Passage("p", "about her", {"subject": ANNA}), consistency="strong")
        before = (await client.post("/v1/subjects/traces", json={"subject": ANNA})).json()
        assert (before["events"], before["passages"], before["keys"]) == (1, 1, 1)
        receipt = (await client.post("/v1/subjects/forget", json={"subject": ANNA})).json()
        assert (receipt["erased"]["passages"], receipt["tenant"]) == (1, "default")
        after = (await client.post("/v1/subjects/traces", json={"subject": ANNA, "texts": ["about her"]})).json()
        assert (after["events"], after["passages"], after["keys"]) == (0, 0, 0)
        checked = await client.post("/v1/subjects/receipts", json={"receipt": receipt, "subject": ANNA})
        assert checked.json() == {"valid": True}
        changed = await client.post("/v1/subjects/receipts", json={"receipt": {**receipt, "keys": 9}})
        assert changed.json() == {"valid": False}
        assert len(await running.knowledge("books", tenant="u").search("about")) == 1
        assert (await client.post("/v1/subjects/forget", json={"subject": ""})).status_code == 422
        assert (await client.post("/v1/subjects/receipts", json={"receipt": {"no": 1}})).status_code == 422
