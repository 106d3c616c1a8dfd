"""Ends a producer of Kafka's C client for good, by the hook that librdkafka itself has for that."""

import ctypes
import gc
from pathlib import Path

from confluent_kafka import KafkaError

from penstock.adapters.kafka.broker import KafkaBroker

LOST = KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER


def end_for_good(producer, code=LOST):
    """Have a producer end as it does when a broker says this of what it was sent."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    library = next(each.split()[-1] for each in lines if "librdkafka" in each)
    trigger = ctypes.CDLL(library).rd_kafka_test_fatal_error
    trigger.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p]
    # The client's handle is the first thing in the object after what every object of Python begins with.
    handle = ctypes.c_void_p.from_address(id(producer) + object.__basicsize__)
    assert trigger(handle, code, b"a test says so") == 0, "it has ended already"


def open_brokers():
    """Return the brokers that apps of this process have open."""
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, KafkaBroker)]
