"""Whether the name of a file would identify a patient."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

_TRANSLITERATED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "å": "aa", "ø": "oe"})

# Shorter names and numbers occur in other names of files by chance.
_SHORTEST_NAME, _SHORTEST_NUMBER = 3, 3
# Names of this length are found within longer words, as in JohnDoe01.
_SHORTEST_PART = 5


@dataclass
class Identity:
    """What is known of one or several patients, none of which may be written.

    Attributes:
        names: Parts of their names, and all parts of a name together, in lower case.
        pairs: Two short parts of a name, which identify a patient together.
        numbers: Numbers such as the patient ID, in lower case.
        dates: Dates of birth, eight digits in several orders.
    """

    names: set[str] = field(default_factory=set)
    pairs: set[frozenset[str]] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    dates: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, names: Iterable[str], numbers: Iterable[str], birth_date: str) -> "Identity":
        """Collect what identifies a patient.

        Args:
            names: Names, whose parts may be separated by anything but letters.
            numbers: IDs, accession numbers and the like.
            birth_date: Year, month and day as eight digits.
        """
        identity = cls()
        for name in names:
            for text in _spellings(name):
                parts = _letters(text)
                identity.names |= {part for part in parts if len(part) >= _SHORTEST_NAME}
                if len(parts) > 1:
                    identity.names |= {"".join(parts), "".join(reversed(parts))}
                    identity.pairs |= {frozenset(parts[:2])}
        for number in numbers:
            plain = number.strip().casefold()
            if len(plain) >= _SHORTEST_NUMBER:
                identity.numbers.add(plain)
        if re.fullmatch(r"\d{8}", birth_date):
            year, month, day = birth_date[:4], birth_date[4:6], birth_date[6:]
            identity.dates = {birth_date, day + month + year, month + day + year}
        return identity

    def add(self, other: "Identity") -> None:
        """Add what is known of other patients."""
        self.names |= other.names
        self.pairs |= other.pairs
        self.numbers |= other.numbers
        self.dates |= other.dates

    def occurs_in(self, name: str) -> bool:
        """Return whether the name of a file has something that identifies a patient."""
        digits = re.sub(r"\D", "", name)
        return any(date in digits for date in self.dates) or any(
            self._is_in(text) for text in _spellings(name)
        )

    def _is_in(self, text: str) -> bool:
        letters = set(_letters(text))
        words = letters | set(re.findall(r"[^\W_]+|\d+", text))
        words |= set(re.findall(r"\d+", text))
        return (
            not self.names.isdisjoint(letters)
            or not self.numbers.isdisjoint(words)
            or any(pair <= letters for pair in self.pairs)
            or any(len(part) >= _SHORTEST_PART and part in text for part in self.names)
            or any(len(part) >= _SHORTEST_PART and part in text for part in self.numbers)
        )


def _spellings(text: str) -> set[str]:
    """Return a text in lower case, without accents, and with umlauts written as two letters."""
    plain = unicodedata.normalize("NFC", text).casefold()
    bare = unicodedata.normalize("NFKD", plain)
    return {
        plain,
        "".join(letter for letter in bare if not unicodedata.combining(letter)),
        plain.translate(_TRANSLITERATED),
    }


def _letters(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text)
