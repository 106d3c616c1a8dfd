"""YAML as definitions are written in it: JSON's types only, so that `Yes`, `on` and dates stay texts.

Functions of CloudFormation (`!Sub`, `!Ref`, `!GetAtt`) become the substitution `${...}` that DefinitionSubstitutions fills in.
Anchors are taken, but an alias is not: a few of them can stand for gigabytes.
"""

# pyright: basic
# PyYAML has no types; this is the file where that ends.

import re
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.events import AliasEvent

from penstock.core.asl.substitutions import function_text


class DefinitionLoader(yaml.SafeLoader):
    """A safe loader without YAML 1.1's many ways to write a boolean, and without dates."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(AliasEvent):
            mark = self.peek_event().start_mark
            raise ComposerError(None, None, "aliases are not allowed: write the value again", mark)
        return super().compose_node(parent, index)


def _substituted(_loader: DefinitionLoader, tag: str, node: yaml.Node) -> Any:
    nodes = [node] if isinstance(node, yaml.ScalarNode) else node.value
    return function_text(tag, [str(each.value) for each in nodes if isinstance(each, yaml.ScalarNode)])


for _tag, _pattern, _first in (
    ("bool", r"true|false", ["t", "f"]),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"-?(0|[1-9][0-9]*)", list("-0123456789")),
    ("float", r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", list("-0123456789")),
):
    DefinitionLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)
DefinitionLoader.add_multi_constructor("!", _substituted)
