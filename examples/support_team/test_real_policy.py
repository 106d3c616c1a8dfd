"""The team on somebody else's handbook: the policy of tau-bench's shop (MIT), where it is at hand."""

import os
from copy import copy
from pathlib import Path

import pytest
import support_app
import support_events
from support_agents import UserMessage

from penstock import testing

CORPUS = Path(__file__).parents[2] / os.environ.get("PENSTOCK_CORPUS", "../shared/corpus")
POLICY = CORPUS / "support" / "tau_retail_policy.md"
pytestmark = pytest.mark.skipif(
    not POLICY.is_file(), reason="NO CORPUS: set PENSTOCK_CORPUS to the folder of the corpora"
)


@pytest.mark.parametrize(
    ("app", "who"), [(support_app.app, "support"), (support_events.app, "reply")], ids=["machine", "events"]
)
async def test_its_questions_are_answered_from_it(app, who):
    other = copy(app)
    other.documents = {"handbook": POLICY}
    asked = {
        "Which status must an order have so that it can be cancelled?": "pending",
        "How is the user identity authenticated?": "email",
        "In which time zone are the times in the database?": "EST",
        "How many products does the retail store have?": "50 types",
    }
    async with testing.app(other) as live:
        for number, text in enumerate(asked):
            answer = await live.call(
                who, UserMessage(session_id="ada", message_id=str(number), text=text), within_s=300
            )
            assert asked[text] in answer["text"]
            assert answer["sources"] == ["tau_retail_policy.md"]
