"""What callers from outside do about those whom data is about."""

from collections.abc import Sequence
from typing import Any

import msgspec

from penstock.core.agents.forgetting import FORGETTER, ForgetSubject, Receipt, Traces, read_receipt, signed_form
from penstock.core.events.subjects import SUBJECT_BYTES_MAX
from penstock.core.events.tenant import require_tenant
from penstock.core.events.texts import storable
from penstock.errors import Finding, Invalid, Missing
from penstock.runtime.engine import Engine
from penstock.runtime.forgetting import Forgetter
from penstock.runtime.forgetting_control import WITHIN_S


class ForSubjects:
    """Forgetting somebody, and proving it."""

    engine: Engine

    async def forget(self, subject: str, *, tenant: str = "default", within_s: float = WITHIN_S) -> Receipt:
        """Have all go that is about a subject of a tenant, and return the signed receipt of that.

        It is durable once it is asked for, and goes on after a restart. What is said about the subject from then on is new.
        `Missing` where the app says of no event whom it is about, and has no knowledge; `TimedOut` when it takes longer.
        """
        forgetter, name = self._forgetter(), self._name(subject, tenant)
        forgetter.asked[tenant, name] = subject
        body = await self.engine.call(FORGETTER, ForgetSubject(name=name), tenant=tenant, within_s=within_s)
        return msgspec.json.decode(body, type=Receipt)

    async def forgotten(self, subject: str, *, tenant: str = "default") -> Receipt | None:
        """Return the receipt of when a subject was forgotten last."""
        return await self._forgetter().last(tenant, self._name(subject, tenant))

    async def traces(self, subject: str, *, texts: Sequence[str] = (), tenant: str = "default") -> Traces:
        """Look whether anything is left of a subject: in the log, in indexes, and as bytes in the files of the store.

        `texts`: more that is looked for in the files, beside the subject's name.
        """
        self._name(subject, tenant)
        return await self._forgetter().check(tenant, subject, texts)

    def is_receipt(self, receipt: Receipt | dict[str, Any], subject: str = "") -> bool:
        """Whether a receipt was signed by this store as it is; and, where it is named, whether it is about this subject."""
        try:
            read = receipt if isinstance(receipt, Receipt) else read_receipt(receipt)
            key, signature = bytes.fromhex(read.public_key), bytes.fromhex(read.signature)
        except (msgspec.ValidationError, ValueError) as error:
            finding = Finding("(whole)", str(error), "give the JSON that `penstock knowledge forget` printed")
            raise Invalid("the receipt", (finding,)) from error
        forgetter = self._forgetter()
        mine, _ = forgetter.witness.signed(forgetter.subjects.secret, b"")
        if subject and read.subject != self._name(subject, read.tenant):
            return False
        return key == mine and forgetter.witness.is_signed(key, signature, signed_form(read))

    def _forgetter(self) -> Forgetter:
        found = self.engine.services.forgetting
        if not isinstance(found, Forgetter):
            hint = "declare it: class Asked(Event, subject=\"user_id\"), and pip install 'penstock[erasure]'"
            raise Missing("whom events are about", hint)
        return found

    def _name(self, subject: str, tenant: str) -> str:
        require_tenant(tenant)
        if not storable("the subject", subject, SUBJECT_BYTES_MAX):
            raise Invalid("the subject", (Finding("subject", "is empty", "name who is to be forgotten"),))
        return self._forgetter().subjects.name(tenant, subject)
