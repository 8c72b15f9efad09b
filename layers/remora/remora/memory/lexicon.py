"""Takes texts apart into the terms that keyword search compares: words without their endings, pairs of characters.

Words are stemmed as English (Porter2 of Snowball), which leaves names, numbers and most words of other languages as
they are. Scripts that put no spaces between words are taken in overlapping pairs of characters, the usual way to
search them without a dictionary.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from functools import lru_cache

UNSPACED_LETTER = "[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]"
"""A letter of a script that puts no spaces between words: Thai to Myanmar, kana, Han."""

# Vowel signs stand inside words, but count as marks, not as letters: Hebrew, Arabic, the scripts of India.
_WORD = re.compile(r"\w[\w\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff]*")
_UNSPACED = re.compile(f"{UNSPACED_LETTER}+")
_ACCENT = re.compile("[\u0300-\u036f]")
_ACCENTED = re.compile("[\u00c0-\u052f\u1e00-\u1fff]")  # marks that stand alone among them
_MAX_TERM_CHARACTERS = 64
"""Of a term that is kept; what is longer is no word, and two of them are told apart by less."""

STOP_WORDS = frozenset(
    _WORD.findall(
        "a about am an and any are as at be been but by can could did do does for from had has have he her his how i "
        "if in into is it its me my no not of on or our she should so than that the their them then there these they "
        "this to us was we were what when where which who whom why will with would you your"
    )
)


@lru_cache(maxsize=1)
def _stemmer() -> Callable[[str], str]:
    # Imported on first use: what does without keywords does without the stemmer.
    import snowballstemmer

    stem: Callable[[str], str] = snowballstemmer.stemmer("english").stemWord
    return stem


@lru_cache(maxsize=32_768)
def stem(word: str) -> str:
    """Return what a word has in common with its other forms, which need not be a word itself."""
    return _stemmer()(word)


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, except what is written without spaces, in their order."""
    return _WORD.findall(_UNSPACED.sub(" ", text.lower()))


def pairs(text: str) -> list[str]:
    """Return the overlapping pairs of characters of what is written without spaces; a lone character by itself."""
    return [run[start : start + 2] for run in _UNSPACED.findall(text) for start in range(max(1, len(run) - 1))]


def telling(found: list[str]) -> list[str]:
    """Return the words that say something: without common English ones, unless there is nothing else."""
    return [word for word in found if word not in STOP_WORDS] or found


def index_terms(text: str) -> Counter[str]:
    """Return the terms of a text, and how often each is there.

    Their sum is the text's length in words.
    """
    folded = _fold(text)
    return Counter([*(_term(word) for word in words(folded)), *pairs(folded)])


def query_terms(text: str) -> list[str]:
    """Return the terms to look for, each once, in their order; common English words only if there is nothing else."""
    folded = _fold(text)
    found = [*(_term(word) for word in telling(words(folded))), *pairs(folded)]
    return list(dict.fromkeys(found))


def name_words(text: str) -> frozenset[str]:
    """Return the words of a name as they are compared: in lower case, without accents, not stemmed."""
    folded = _fold(text)
    return frozenset(word for word in (*words(folded), *_UNSPACED.findall(folded)) if word not in STOP_WORDS)


def _term(word: str) -> str:
    return stem(word[:_MAX_TERM_CHARACTERS])


def _fold(text: str) -> str:
    """Return a text in which forms of the same letters are the same: width, ligatures, accents."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text)
    if _ACCENTED.search(text):
        # Only where there are accents: taking them off parts Korean syllables and the voiced kana of Japanese.
        text = "".join(_unaccented(character) for character in text)
    return text


@lru_cache(maxsize=4_096)
def _unaccented(character: str) -> str:
    return _ACCENT.sub("", unicodedata.normalize("NFKD", character)) if _ACCENTED.match(character) else character
