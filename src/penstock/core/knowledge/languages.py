"""Which language a text is in, as far as its words' endings depend on it, and how they are taken off.

- Latin script: by the commonest words of each language, which a few lines of text always hold; English when nothing tells.
  Other scripts tell by themselves, word by word.
- A stem is made by Snowball's stemmer of the language (snowballstem.org); accents go after it, so that both spellings meet.
- `COMPOUNDING` languages write several words as one, or hang many endings on one: their longer words are also found by
  the runs of four letters that they share.
"""

import sys
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

ENGLISH = "english"
COMPOUNDING = frozenset({"danish", "dutch", "estonian", "finnish", "german", "hungarian", "norwegian", "swedish"})
GRAM = 4
GRAM_WORD_MIN = 6
WORD_MAX = 64

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz")
# Letters that one of these languages has alone.
_OWN_LETTERS = {
    "ß": "german", "ñ": "spanish", "¿": "spanish", "ő": "hungarian", "ű": "hungarian", "ğ": "turkish", "\u0131": "turkish",
    "ł": "polish", "ą": "polish", "ę": "polish", "ż": "polish", "ř": "czech", "ě": "czech", "ů": "czech",
    "ț": "romanian", "ă": "romanian", "ã": "portuguese", "ė": "lithuanian", "ų": "lithuanian",
}  # fmt: skip
_TELLING_MIN = 2
_SHARE_MIN = 0.06

# The commonest words of running text, and what questions are built with.
_COMMON = {
    ENGLISH: """the of and to in is that for it as was with be by on not he his but at are this have from or had an they which
        one you were her all she there would their we him been has when who will more no if out so said what up its about into
        than them can only other new some could time these two may then do any my now such how does why where""",
    "catalan": """el la els les de del dels i que a en un una per amb és no es al als se ha han com més però si o aquest aquesta
        quin quina què qui quan on per què són està molt també seu seva entre""",
    "czech": """a se v na je že o s z do i to k ve pro za by ale si po jako podle od jsou které který která nebo aby tak jeho
        byl byla bylo být co kdo kdy kde jak proč při až jen již není také""",
    "danish": """og i at er en den til det på de med for ikke der et som af har var fra sig kan vil men om ved ud nu hvad hvem
        hvor hvornår hvordan hvorfor hvilken blev være skal også eller efter denne dette""",
    "dutch": """de van een het en in is dat op te zijn met voor niet aan er om ook als bij uit door naar maar dan wat wie waar
        wanneer hoe waarom welke wordt werd worden heeft hebben kan deze dit die over zich nog tot of geen""",
    "estonian": """ja on ei et see oma kui ka mis oli aga või kes siis nii selle kus seda mida välja veel üle ning mille kuidas
        millal miks pole olla tema nende ole""",
    "finnish": """ja on ei että se hän oli joka mutta kun myös ovat voi tai niin kuin sen sekä mukaan jos vain ole mikä mitä
        missä milloin miksi kuka kuinka ovat olla joita jotka tämä tässä vuonna""",
    "french": """de la le et les des en un une du à dans que est qui par pour pas sur au avec ce il se ne plus sont son sa ses
        ou mais comme elle ont aux cette être quel quelle quels quelles quoi quand où comment pourquoi fait été leur nous vous l
        d qu c s n""",
    "german": """der die und den von das zu mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er hat dass
        sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber vor zur bis mehr durch man
        wer wann wo warum welche welcher welches kann wurde""",
    "hungarian": """a az és hogy nem is egy ez volt meg de csak már ki mint el van még azt vagy be le ha kell ezt azok ahol mit
        mi hol mikor hogyan miért melyik lehet egyik után szerint között""",
    "indonesian": """yang dan di dari untuk pada dengan ini dalam adalah tidak itu ke akan oleh atau sebagai juga dapat telah
        oleh karena bisa ada saat apa siapa kapan mana bagaimana mengapa""",
    "italian": """di e il la che in un a per è una del non con da della si le i al nel dei come sono più gli alla lo dell anche
        ma ha delle o se su essere dal degli questo questa cosa chi quando dove perché quale quali quanto quanti""",
    "lithuanian": """ir yra kad į iš su kaip ne bei tai tik buvo už apie ar prie jo nuo po dar taip jau bet arba kas kada kur
        kodėl kuris kuri""",
    "norwegian": """og i er det på til som en å for av at har med de ikke den om et fra kan var ble han men seg skal vil ved så
        eller hva hvem hvor når hvordan hvorfor hvilken også etter være blir""",
    "polish": """w i na z do że się jest nie to o od za po jak przez dla ale są co tym jego oraz ich był była było być który która
        które kto kiedy gdzie dlaczego może tylko lub przy""",
    "portuguese": """de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das à seu sua ou
        ser quando muito há nos já está eu também só pelo pela até isso qual quais quem onde quanto são""",
    "romanian": """și de în a la cu pe nu o din care este un mai că să pentru sau au fost prin ce ca lui sunt dar fi ale dintre
        cum când unde cine cât această acest""",
    "spanish": """de la que el en y a los se del las un por con no una su para es al lo como más o pero sus le ha si sobre este
        ya entre cuando todo esta ser son fue era muy hasta desde qué quién quiénes cuál cuáles cuándo dónde cómo cuánto
        cuántos""",
    "swedish": """och i att det som en på är av för med den till inte har de ett om var men sig från så kan när man eller även
        vid efter denna detta vad vem hur varför vilken vilka där ska finns också blev""",
    "turkish": """ve bir bu için ile de da olarak çok daha olan gibi kadar sonra en ne ya ise ancak değil var her göre
        taraf\u0131ndan hangi nas\u0131l neden kim nerede zaman mi m\u0131""",
}
COMMON = {language: frozenset(words.split()) for language, words in _COMMON.items()}
LANGUAGES = tuple(COMMON)

# First and last letter of scripts that one stemmer stands for.
_SCRIPTS = (
    ("\u0370", "\u03ff", "greek"),
    ("\u1f00", "\u1fff", "greek"),
    ("\u0400", "\u052f", "russian"),
    ("\u0530", "\u058f", "armenian"),
    ("\u0600", "\u06ff", "arabic"),
    ("\u0900", "\u097f", "hindi"),
    ("\u0b80", "\u0bff", "tamil"),
)
# Scripts whose marks are no accents but vowels stay as they are.
_FOLDED_BELOW = "\u0530"


def language_of(words: Sequence[str]) -> str:
    """The language that the commonest words (folded) among these speak for; "" when they say nothing.

    Two different words have to: single letters are names in code, and one word is of several languages.
    """
    speaking = _speaking()
    found: Counter[str] = Counter()
    different: Counter[str] = Counter()
    counts = Counter(words)
    for word in counts.keys() & speaking.keys():
        for language in speaking[word]:
            found[language] += counts[word]
            different[language] += 1
    for word in () if "".join(counts).isascii() else counts:
        for letter in set(word) & _OWN_LETTERS.keys():
            found[_OWN_LETTERS[letter]] += counts[word]
            different[_OWN_LETTERS[letter]] += 1
    if not found:
        return ""
    best, count = found.most_common(1)[0]
    second = max((others for language, others in found.items() if language != best), default=0)
    is_told = different[best] >= _TELLING_MIN and count >= _SHARE_MIN * len(words) and count > second
    return best if is_told else ""


def is_english(words: Sequence[str]) -> bool:
    """Whether a text is plainly English: most texts are, and this is the quicker question."""
    first = words[:40]
    return sum(map(COMMON[ENGLISH].__contains__, first)) * 4 > len(first)


def stem(word: str, language: str) -> str:
    """The stem of a folded word, without accents; that of its script where it is not Latin. Longer than `WORD_MAX` is no word."""
    return word if len(word) > WORD_MAX else _stem(word, language)


@lru_cache(maxsize=32_768)
def _stem(word: str, language: str) -> str:
    # Stemming takes 30 us, and words come again.
    of_script = _of_script(word)
    made = _stemmed(word, of_script or language)
    return sys.intern((_plain(made) or made) if made < _FOLDED_BELOW and not made.isascii() else made)


def grams(word: str, *, letters_min: int = GRAM_WORD_MIN) -> list[str]:
    """The runs of `GRAM` letters of a folded word of a compounding language, marked as such; none of a shorter word."""
    if not letters_min <= len(word) <= WORD_MAX or not word.isalpha() or word >= _SCRIPTS[0][0]:
        return []
    plain = _plain(word)
    return [f"~{plain[at : at + GRAM]}" for at in range(len(plain) - GRAM + 1)]


def _of_script(word: str) -> str:
    first = word[:1]
    if first < _SCRIPTS[0][0]:
        return ""
    return next((language for low, high, language in _SCRIPTS if low <= first <= high), "")


def _stemmed(word: str, language: str) -> str:
    # A stemmer holds the word it works on, and two threads may be here: each word has its own.
    made = _stemmer(language)()
    return str(made.stemWord(word))


@cache
def _stemmer(language: str) -> Any:
    module = import_module(f"{_stemmers()}.{language}_stemmer")
    return getattr(module, f"{language.title()}Stemmer")


@cache
def _stemmers() -> str:
    """The name of a package that has the library's modules, and loads only those that are asked for.

    The library's own loads all of its 36 languages at once, which takes a tenth of a second, and nearly all texts are in one.
    """
    found = find_spec("snowballstemmer")
    assert found is not None, "snowballstemmer is installed with penstock"
    package = ModuleType(f"{__name__}_of_snowball")
    package.__path__ = list(found.submodule_search_locations or ())
    sys.modules[package.__name__] = package
    return package.__name__


@cache
def _speaking() -> dict[str, tuple[str, ...]]:
    speaking: dict[str, list[str]] = {}
    for language, words in COMMON.items():
        for word in words - _LETTERS:
            speaking.setdefault(word, []).append(language)
    return {word: tuple(languages) for word, languages in speaking.items()}


def _plain(word: str) -> str:
    return "".join(each for each in unicodedata.normalize("NFD", word) if unicodedata.category(each) != "Mn")
