"""Texts with `*` for any run of characters: reading, matching, and how complex a few of them are together.

Matching takes the literal pieces from left to right and never goes back, so that its time is bounded by the length of the text
times the number of pieces, whatever the pattern.
"""

from collections.abc import Iterable, Sequence

COMPLEXITY_MAX = 10
"""More places than this at which a text could be at once, and AWS refuses the pattern."""

SETS_MAX = 2_000
"""So many sets of places are tried before the patterns count as too complex."""

Pieces = tuple[str, ...]
"""The texts between the stars: one more than there are stars."""


def pieces_of(pattern: str) -> Pieces | str:
    """Return the literal pieces of a pattern, or the reason why it is refused.

    Positions count the bytes of the pattern and the quote before it, as AWS tells them.
    """
    pieces: list[str] = []
    piece: list[str] = []
    escaped = False
    byte = 1
    for at, letter in enumerate(pattern):
        if escaped:
            piece.append(letter)
            escaped = False
        elif letter == "\\":
            if pattern[at + 1 : at + 2] not in {"*", "\\"} or at + 1 == len(pattern):
                return f"Invalid escape character at pos {byte}"
            escaped = True
        elif letter == "*":
            if pattern[at + 1 : at + 2] == "*":
                return f"Consecutive wildcard characters at pos {byte}"
            pieces.append("".join(piece))
            piece = []
        else:
            piece.append(letter)
        byte += len(letter.encode("utf-8", "surrogatepass"))
    return (*pieces, "".join(piece))


def fits(pieces: Pieces, text: str) -> bool:
    """Whether the text is the pieces with anything between them."""
    if len(pieces) == 1:
        return text == pieces[0]
    first, last = pieces[0], pieces[-1]
    if not text.startswith(first):
        return False
    at, end = len(first), len(text) - len(last)
    if end < at or not text.endswith(last):
        return False
    for piece in pieces[1:-1]:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def complexity(patterns: Sequence[Pieces], bound: int = COMPLEXITY_MAX) -> int:
    """Return at how many places of the patterns the worst text could be at once; above the bound it stops counting.

    A place is what comes before the next character, or before a star; a text that is at the former of two such is at both.
    Most patterns cannot come near the bound, and are told so without trying texts.
    """
    at_most = sum(_places_at_most(pieces) for pieces in patterns)
    if at_most <= bound:
        return at_most
    machine = _Machine(patterns)
    alphabet = machine.letters()
    pending = [machine.start]
    seen = {machine.start}
    worst = 0
    while pending and worst <= bound:
        places = pending.pop()
        for letter in alphabet:
            after = machine.after(places, letter)
            worst = max(worst, len(machine.counted(after)))
            if after and after not in seen:
                seen.add(after)
                pending.append(after)
        if len(seen) > SETS_MAX:
            return bound + 1
    return worst


def _places_at_most(pieces: Pieces) -> int:
    """Return a bound of the places in one pattern: each star, and each start of a piece that a text may be within."""
    if len(pieces) == 1:
        return 0
    return 2 + sum(1 + _overlaps(piece) for piece in pieces[1:])


def _overlaps(piece: str) -> int:
    """Return in how many copies of the piece, begun one after the other, a text can be at once."""
    depths = [0] * (len(piece) + 1)
    borders = [0] * (len(piece) + 1)
    borders[0] = -1
    most = 0
    for end in range(1, len(piece) + 1):
        border = borders[end - 1]
        while border >= 0 and piece[border] != piece[end - 1]:
            border = borders[border]
        borders[end] = border + 1
        depths[end] = 1 + depths[borders[end]]
        most = max(most, depths[end])
    return most


class _Machine:
    """The places of several patterns: pairs of a pattern and how many of its characters and stars were read."""

    def __init__(self, patterns: Iterable[Pieces]) -> None:
        self.tokens = [_tokens(pieces) for pieces in patterns if len(pieces) > 1]
        self.start = frozenset((number, 0) for number in range(len(self.tokens)))

    def letters(self) -> list[str | None]:
        used = {token for tokens in self.tokens for token in tokens if token is not None}
        return [None, *sorted(used)]

    def after(self, places: frozenset[tuple[int, int]], letter: str | None) -> frozenset[tuple[int, int]]:
        moved: set[tuple[int, int]] = set()
        for number, at in places:
            tokens = self.tokens[number]
            if at and tokens[at - 1] is None:
                moved.add((number, at))  # a star takes any character
            following = at
            if following < len(tokens) and tokens[following] is None:
                moved.add((number, following + 1))
                following += 1  # and it may stand for nothing
            if following < len(tokens) and letter is not None and tokens[following] == letter:
                moved.add((number, following + 1))
        return frozenset(moved)

    def counted(self, places: frozenset[tuple[int, int]]) -> set[tuple[int, int]]:
        stars = {
            (number, at + 1)
            for number, at in places
            if at < len(self.tokens[number]) and self.tokens[number][at] is None
        }
        return {*places, *stars}


def _tokens(pieces: Pieces) -> list[str | None]:
    tokens: list[str | None] = ['"']
    for number, piece in enumerate(pieces):
        if number:
            tokens.append(None)
        tokens.extend(piece)
    return [*tokens, '"']
