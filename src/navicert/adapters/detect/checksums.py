"""Check digits and shapes of numbers that name people and money: what tells a card from an order number (R2.b).

* Every function is pure and takes the bare characters, without separators; it says yes only to what could be issued.
* Sources: ISO/IEC 7812 (cards), ISO 13616 (IBAN), SSA (social security numbers), the tax and civil registries named.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable

_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

_CARDS: tuple[tuple[int, int, frozenset[int]], ...] = (
    (2200, 2204, frozenset({16, 17, 18, 19})),  # Mir
    (2221, 2720, frozenset({16})),  # Mastercard
    (3000, 3059, frozenset({14, 16, 19})),  # Diners Club
    (3400, 3499, frozenset({15})),  # American Express
    (3528, 3589, frozenset({16, 17, 18, 19})),  # JCB
    (3600, 3699, frozenset({14, 16, 19})),  # Diners Club
    (3700, 3799, frozenset({15})),  # American Express
    (3800, 3999, frozenset({14, 16, 19})),  # Diners Club
    (4000, 4999, frozenset({13, 16, 19})),  # Visa
    (5018, 5020, frozenset({16, 18, 19})),  # Maestro
    (5080, 5089, frozenset({16})),  # RuPay
    (5100, 5599, frozenset({16})),  # Mastercard
    (5893, 5893, frozenset({16, 18, 19})),  # Maestro
    (6011, 6011, frozenset({16, 19})),  # Discover
    (6200, 6299, frozenset({16, 17, 18, 19})),  # UnionPay
    (6304, 6304, frozenset({16, 18, 19})),  # Maestro
    (6440, 6599, frozenset({16, 19})),  # Discover, RuPay
    (6759, 6763, frozenset({16, 18, 19})),  # Maestro
    (8100, 8299, frozenset({16})),  # RuPay
    (9792, 9792, frozenset({16})),  # Troy
)
"""First four digits, from and to, and the lengths that the network issues."""

_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24,
    "XK": 20,
}  # fmt: skip

_ODD_FISCAL = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
"""Codice fiscale: the values of the characters at odd places, A to Z; a digit counts as the letter of its number."""

_VERHOEFF = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 4, 0, 6, 7, 8, 9, 5), (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7), (4, 0, 1, 2, 3, 9, 5, 6, 7, 8), (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2), (7, 6, 5, 9, 8, 2, 1, 0, 4, 3), (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)  # fmt: skip
_VERHOEFF_PLACES = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 5, 7, 6, 2, 8, 3, 0, 9, 4), (5, 8, 0, 3, 7, 9, 6, 1, 4, 2),
    (8, 9, 1, 6, 0, 4, 3, 5, 2, 7), (9, 4, 5, 3, 1, 2, 6, 8, 7, 0), (4, 2, 8, 6, 5, 7, 3, 9, 0, 1),
    (2, 7, 9, 3, 8, 0, 6, 4, 1, 5), (7, 0, 4, 6, 9, 1, 3, 2, 5, 8),
)  # fmt: skip


def luhn(digits: str) -> bool:
    """Tell whether the last digit is the Luhn check of those before it."""
    odd = sum(map(int, digits[-1::-2]))
    return (odd + sum(_DOUBLED[int(digit)] for digit in digits[-2::-2])) % 10 == 0


def card(digits: str) -> bool:
    """Tell whether a payment network issues this number: known prefix, its length, and Luhn."""
    if not 13 <= len(digits) <= 19:
        return False
    head = int(digits[:4])
    return any(low <= head <= high and len(digits) in lengths for low, high, lengths in _CARDS) and luhn(digits)


def iban(text: str) -> bool:
    """Tell whether the text *begins* with an IBAN: a country, the country's length, and mod 97 (ISO 7064)."""
    length = _IBAN_LENGTHS.get(text[:2], 0)
    if not length or len(text) < length or not (text[:length].isascii() and text[:length].isalnum()):
        return False
    turned = text[4:length] + text[:4]
    return int("".join(str(int(character, 36)) for character in turned)) % 97 == 1


def iban_length(country: str) -> int:
    """Return how many characters an IBAN of this country has, 0 where it has none."""
    return _IBAN_LENGTHS.get(country, 0)


def ssn(digits: str) -> bool:
    """Tell whether the nine digits can be a US social security number; two that advertisements spoiled cannot."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    if area in {"000", "666"} or area[0] == "9" or group == "00" or serial == "0000":
        return False
    return digits not in {"078051120", "219099999"} and len(set(digits)) > 1


def phone(digits: str) -> bool:
    """Tell whether the digits after a plus can be a telephone number (E.164); North America's have eleven."""
    if digits[0] == "1":
        return len(digits) >= 11 and digits[1] in "23456789" and digits[4] in "23456789"
    return 9 <= len(digits) <= 15 and digits[:2] not in {"28", "83", "87", "89"} and digits[:3] not in {"210", "214"}


def cpf(digits: str) -> bool:
    """Tell whether the eleven digits are a Brazilian CPF."""
    first = _weighed(digits[:9], range(10, 1, -1)) * 10 % 11 % 10
    second = _weighed(digits[:10], range(11, 1, -1)) * 10 % 11 % 10
    return digits[9:] == f"{first}{second}" and len(set(digits)) > 1


def codice_fiscale(text: str) -> bool:
    """Tell whether the sixteen characters are an Italian codice fiscale."""
    values = [int(character, 36) if character.isdigit() else ord(character) - 65 for character in text[:15]]
    total = sum(_ODD_FISCAL[value] for value in values[::2]) + sum(values[1::2])
    return text[15] == chr(65 + total % 26)


def resident_id(text: str) -> bool:
    """Tell whether the eighteen characters are a Chinese resident identity number (GB 11643)."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return text[17] == "10X98765432"[_weighed(text[:17], weights) % 11]


def nir(digits: str) -> bool:
    """Tell whether the fifteen digits are a French social security number (NIR)."""
    return int(digits[13:]) == 97 - int(digits[:13]) % 97


def national_register(digits: str) -> bool:
    """Tell whether the eleven digits are a Belgian national register number, of either century."""
    body, key = digits[:9], int(digits[9:])
    return key in {97 - int(body) % 97, 97 - int("2" + body) % 97}


def bsn(text: str) -> bool:
    """Tell whether the nine digits are a Dutch burgerservicenummer (the eleven-test)."""
    return _digits(text, 9) and text != "0" * 9 and _weighed(text, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def nhs(text: str) -> bool:
    """Tell whether the ten digits are a number of the British NHS."""
    return _digits(text, 10) and (11 - _weighed(text[:9], range(10, 1, -1)) % 11) % 11 == int(text[9])


def pesel(text: str) -> bool:
    """Tell whether the eleven digits are a Polish PESEL."""
    return _digits(text, 11) and _weighed(text, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def dni(text: str) -> bool:
    """Tell whether the nine characters are a Spanish DNI."""
    return _digits(text[:8], 8) and text[8:] == "TRWAGMYFPDXBNJZSQVHLCKE"[int(text[:8]) % 23]


def aadhaar(text: str) -> bool:
    """Tell whether the twelve digits are an Indian Aadhaar number (Verhoeff)."""
    if not _digits(text, 12) or text[0] in "01":
        return False
    check = 0
    for place, digit in enumerate(reversed(text)):
        check = _VERHOEFF[check][_VERHOEFF_PLACES[place % 8][int(digit)]]
    return check == 0


def nino(text: str) -> bool:
    """Tell whether the nine characters have the form of a British national insurance number."""
    if len(text) != 9 or text[:2] in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}:
        return False
    letters = not {text[0], text[1]} & set("DFIQUV") and text[1] != "O" and text[:2].isalpha()
    return letters and text[2:8].isdigit() and text[8] in "ABCD"


def passport(text: str) -> bool:
    """Tell whether the text has the usual form of a passport number: up to two letters, then six to nine digits."""
    number = text.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return len(text) - len(number) <= 2 and 6 <= len(number) <= 9 and number.isdigit()


BY_WORD: dict[str, Callable[[str], bool]] = {
    "bsn": bsn, "burgerservicenummer": bsn, "nhs": nhs, "pesel": pesel, "dni": dni, "nif": dni, "aadhaar": aadhaar,
    "nino": nino, "national insurance": nino, "passport": passport,
}  # fmt: skip
"""Numbers whose check is too weak alone: the word must stand before them."""


def entropy(text: str) -> float:
    """Return the Shannon entropy of the text, in bits per character."""
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts)


def _weighed(digits: str, weights: Iterable[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True))


def _digits(text: str, length: int) -> bool:
    return len(text) == length and text.isdigit()
