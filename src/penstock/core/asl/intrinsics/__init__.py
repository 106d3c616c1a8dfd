"""Intrinsic functions: `States.Format('Hello {}', $.name)`. `parse_call` once, then `Call.evaluate` for any state."""
