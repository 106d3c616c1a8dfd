"""What is done to a message before anything else sees it: cleaned, without personal data, tokenised, its language told."""

import re
import unicodedata
from hashlib import blake2b, sha256

from penstock.core.knowledge.languages import language_of

MESSAGE_CHARS_MAX = 4_000

MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
DIGITS = re.compile(r"(?<![\w#])\+?\(?\d(?:[ ().-]?\d){6,18}(?!\w)")
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")
NAME = re.compile(r"\b(?i:my name is|your name is|i am called|this is)\s+((?:[A-Z][\w'-]+)(?:\s+[A-Z][\w'-]+){0,2})")
SPACE = re.compile(r"\s+")
WORD = re.compile(r"\w+(?:['-]\w+)*")


def cleaned(text: str) -> str:
    """One form of each character, no control characters, no runs of blanks, no more than there is room for."""
    text = unicodedata.normalize("NFKC", text)
    text = "".join(char if char.isprintable() else " " for char in text)
    return SPACE.sub(" ", text).strip()[:MESSAGE_CHARS_MAX]


def masked(text: str) -> str:
    """Without personal data: who can be told again becomes a hash (the same person, the same hash), numbers just go."""
    text = MAIL.sub(lambda mail: f"mail-{_short(mail[0].lower())}", text)
    text = IBAN.sub("[account]", text)
    text = DIGITS.sub(lambda number: _number(number[0]), text)
    return NAME.sub(lambda said: said[0].replace(said[1], f"name-{_short(said[1].lower())}"), text)


def tokens(text: str) -> list[str]:
    return WORD.findall(text.lower())


def language(text: str) -> str:
    """The language, as far as its commonest words tell; English when nothing does."""
    return language_of(tokens(text)) or "english"


def digest(text: str) -> str:
    """The cryptographic hash of what was said."""
    return sha256(text.encode()).hexdigest()


def _number(text: str) -> str:
    digits = [int(char) for char in text if char.isdigit()]
    is_card = 13 <= len(digits) <= 19 and sum(_luhn(digits)) % 10 == 0
    return "[card]" if is_card else "[number]"


def _luhn(digits: list[int]):
    for place, digit in enumerate(reversed(digits)):
        doubled = digit * 2 if place % 2 else digit
        yield doubled - 9 if doubled > 9 else doubled


def _short(text: str) -> str:
    return blake2b(text.encode(), digest_size=6).hexdigest()
