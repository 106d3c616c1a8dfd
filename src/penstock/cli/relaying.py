"""`penstock relay`: agents that remember nothing, between topics of Kafka alone, exactly once by its transactions."""

from penstock.cli.arguments import AppFile, Log


def relay(file: AppFile, log: Log = None) -> None:
    """Run agents that take an event and return events, between topics of Kafka, without a store.

    Each batch is one transaction: what is read counts once, for all who read what is committed. Start as many as there are
    partitions: Kafka's group shares these. What an agent gives up on goes to the topic APP-dead-letters. Ctrl-C stops it.
    """
    from penstock.cli.loading import loaded_app
    from penstock.cli.relays import relay_app
    from penstock.runtime.process import run_tuned
    from penstock.settings import settings

    run_tuned(relay_app(loaded_app(file), settings({"log": log})))
