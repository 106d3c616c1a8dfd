"""JSONata as Step Functions has it: `parse_query` once, then `Query.evaluate` for any state; `templates` for `{% %}` in JSON.

`library.py` is the only module that imports jsonata-python, and `templates.py` imports that when it meets the first expression.
"""
