"""The Amazon States Language as a pure library.

Definitions:

- `validation.validate` says all that is wrong with a document, `validation.parse` returns its machine or refuses.
- `definition.Machine` and its parts are that machine, also to build one in Python; `definition.to_document` prints it.
- `variables.variable_references` tells which state reads which variable, `resources.parse_resource` what a Task calls.

Running one:

- `program.compiled` makes a machine ready; `reducer.advance` gives its `run.Run` what has happened, and returns what it wants
  done (`happenings`: both, and all of its dealings with the world). The same happenings give the same run.
- `history.aws_shaped` shows the events of a run as AWS does; `reading.read_items_from` the items in an object.
- `trying.try_state` tries one state alone and shows its data stage by stage, as AWS's TestState does.
- `penstock.testing.asl_world` is a world to run machines in, without any of the outside.

Its data languages, by what a reader wants:

- `scope.Scope` is all that a state's expressions can see: `$`, `$$`, variables, chance. Make one for each state that is entered.
- `flow` applies the data fields of a state in JSONPath, in order; `templates.parse_template` reads Parameters, ResultSelector,
  ItemSelector and Assign; `templates.parse_expression` a path or an intrinsic function; `references` InputPath, ItemsPath,
  ResultPath and what may be written where.
- `choices.parse_rule` reads a rule of a Choice state; `timestamps.timestamp_ns` a timestamp.
- `failures.EvaluationFailed` is how an evaluation ends without a value: error, cause and field, as AWS has them;
  `failures.state_cause` puts AWS's opening sentence in front. Parsers raise `PathInvalid` or return `Finding`s: they run once,
  when a definition is read, and what they return is evaluated any number of times.
- `jsonata.templates.parse_query_template` reads Arguments, Output, Assign, Items, Condition and any other field in JSONata;
  `jsonata.query.parse_query` one expression, with what it refers to.

Deeper down, `paths` is JSONPath in Jayway's dialect and `intrinsics` the 18 functions.
"""
