"""The names of PyFlink that a job uses. It has no types, and lies in a virtual environment of its own."""

from importlib import import_module
from typing import Any

from penstock.errors import Missing

try:
    _common: Any = import_module("pyflink.common")
    _streams: Any = import_module("pyflink.datastream")
    _states: Any = import_module("pyflink.datastream.state")
    _gateway: Any = import_module("pyflink.java_gateway")
    _tables: Any = import_module("pyflink.table")
except ImportError as error:
    hint = "it wants a virtual environment of its own, with penstock in it: pip install 'penstock[flink]'"
    raise Missing("the package apache-flink", hint) from error

Configuration: Any = _common.Configuration
Row: Any = _common.Row
Types: Any = _common.Types
FlatMapFunction: Any = _streams.FlatMapFunction
KeyedProcessFunction: Any = _streams.KeyedProcessFunction
StreamExecutionEnvironment: Any = _streams.StreamExecutionEnvironment
ValueStateDescriptor: Any = _states.ValueStateDescriptor
Schema: Any = _tables.Schema
StreamTableEnvironment: Any = _tables.StreamTableEnvironment


def savepoint_form() -> Any:
    """Return the form of savepoints that any later version of Flink reads."""
    return _gateway.get_gateway().jvm.org.apache.flink.core.execution.SavepointFormatType.CANONICAL
