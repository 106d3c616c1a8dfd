r"""The template of `States.Format`: text with a `{}` for each argument. A backslash makes `{`, `}`, `'` and `\\` plain."""


class TemplateInvalid(Exception):
    """The braces of a template do not pair."""


def template_parts(template: str) -> list[str]:
    """Return the texts around the placeholders: one more than there are placeholders."""
    parts: list[str] = []
    text: list[str] = []
    at = 0
    while at < len(template):
        char = template[at]
        if char == "\\" and template[at + 1 : at + 2] in ("{", "}", "'", "\\"):
            at += 1
            text.append(template[at])
        elif char == "{":
            if template[at + 1 : at + 2] != "}":
                raise TemplateInvalid("matching '}' not found for '{'.")
            parts.append("".join(text))
            text = []
            at += 1
        elif char == "}":
            raise TemplateInvalid("matching '{' not found for '}'.")
        else:
            text.append(char)
        at += 1
    return [*parts, "".join(text)]
