"""A place in a text that is being parsed, and how to look ahead from it."""

from penstock.core.asl.failures import PathInvalid

_ESCAPES = {"r": "\r", "f": "\f", "t": "\t", "n": "\n", "b": "\b"}


class Cursor:
    """Reading past the end gives "", which is no character that any rule waits for."""

    __slots__ = ("at", "text")

    def __init__(self, text: str, at: int = 0) -> None:
        self.text = text
        self.at = at

    @property
    def char(self) -> str:
        return self.text[self.at : self.at + 1]

    def skip_blanks(self) -> str:
        """Go to the next character that is no blank, and return it."""
        while self.char == " ":
            self.at += 1
        return self.char

    def significant_after(self, at: int) -> int:
        """Return the index of the next character behind `at` that is no blank."""
        at += 1
        while self.text[at : at + 1] == " ":
            at += 1
        return at

    def unescaped(self, char: str, after: int) -> int:
        """Return the index of the next such character without a backslash before it, or -1."""
        at = after + 1
        while at < len(self.text):
            if self.text[at] == "\\":
                at += 1
            elif self.text[at] == char:
                return at
            at += 1
        return -1

    def closing(self, at: int, *, patterns: bool) -> int:
        """Return the index of the bracket that closes the one at `at`, or -1. Strings are passed over, patterns if asked."""
        opener = self.text[at]
        closer = {"(": ")", "[": "]", "{": "}"}[opener]
        depth = 0
        while at < len(self.text):
            char = self.text[at]
            if char in "'\"" or (patterns and char == "/"):
                at = self.unescaped(char, at)
                if at == -1:
                    raise PathInvalid(f"Could not find matching close quote for {char} when parsing : {self.text}")
            elif char == opener:
                depth += 1
            elif char == closer:
                depth -= 1
                if depth == 0:
                    return at
            at += 1
        return -1


def unescaped_text(text: str) -> str:
    """Return what a quoted text means: `u` and four hexadecimal digits, `n`, or any other character behind a backslash."""
    if "\\" not in text:
        return text
    out: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\" and at + 1 < len(text):
            at += 1
            if text[at] == "u":
                try:
                    char = chr(int(text[at + 1 : at + 5], 16))
                except ValueError as error:
                    raise PathInvalid(f"Unable to parse unicode value: {text[at + 1 : at + 5]}") from error
                at += 4
            else:
                char = _ESCAPES.get(text[at], text[at])
        out.append(char)
        at += 1
    return "".join(out)
