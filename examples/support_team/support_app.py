"""The support team, led by a state machine: `support.asl.json` says who is asked when, and what follows when one fails."""

import os
from pathlib import Path

from support_agents import SPECIALISTS, UserMessage

from penstock import App, Retry

HERE = Path(__file__).parent

app = App("support", prompts=HERE / "prompts")
app.knowledge("handbook", documents=os.environ.get("SUPPORT_HANDBOOK", HERE / "handbook"))
app.knowledge("asked")
for specialist in SPECIALISTS:
    # The machine says how often one is asked: an agent that tried again by itself would multiply that.
    app.agent(retry=Retry(attempts_max=1), timeout_s=60)(specialist)

# The path of the definition is seen from this file. A message on the bus begins a run, with its fields as the input.
app.workflow("support", definition="support.asl.json", accepts=UserMessage)
