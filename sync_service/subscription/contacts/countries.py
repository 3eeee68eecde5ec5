"""Countries and states by name or code. Pure.

Zuora keeps names ("United Kingdom", "California"), Limio ISO codes; people type both, and names that ISO does not list.
Zuora's own names are those of its country list ("Set up countries, regions, and subregions"), which has states for
the United States and Canada; the names that ISO 3166 lacks and the states stand in `countries.json`.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import iso3166

_Words = tuple[str, ...]

#: Say nothing about which country is meant: "Korea, Republic of" is the "Republic of Korea".
_FILLERS = frozenset({"the", "of", "and"})


@lru_cache(maxsize=1024)
def country_code(text: str | None) -> str | None:
    """The ISO 3166 code of a country given by name, two letters or three; None where it is not known or blank."""
    return _country_index().get(_words(text or ""))


@lru_cache(maxsize=1024)
def state_code(text: str | None, country: str | None) -> str | None:
    """The post's code of a state given by name or code, in a country (ISO code) that uses codes; else None."""
    return _state_index(country or "").get(_words(text or ""))


def is_same_country(one: str | None, other: str | None) -> bool:
    """Whether both texts name one country; where neither is known, whether they are the same word."""
    return _same(one, other, country_code(one), country_code(other))


def is_same_state(one: str | None, other: str | None, country: str | None) -> bool:
    """Whether both texts name one state of the country (ISO code); else whether they are the same word."""
    return _same(one, other, state_code(one, country), state_code(other, country))


def _same(one: str | None, other: str | None, code: str | None, other_code: str | None) -> bool:
    if code is not None or other_code is not None:
        return code == other_code
    return _plain(one or "") == _plain(other or "")


@cache
def _named() -> Mapping[str, Mapping[str, Any]]:
    named: Mapping[str, Mapping[str, Any]] = json.loads(
        files(__package__).joinpath("countries.json").read_text(encoding="utf-8")
    )
    return named


@cache
def _country_index() -> Mapping[_Words, str]:
    index: dict[_Words, str] = {}
    for country in iso3166.countries:
        for name in (country.name, country.apolitical_name, country.alpha2, country.alpha3):
            index[_words(name)] = country.alpha2
    for code, names in _named()["countries"].items():
        index |= {_words(name): code for name in names}
    return index


@cache
def _state_index(country: str) -> Mapping[_Words, str]:
    states = _named()["states"].get(country, {})
    return {_words(word): code for code, names in states.items() for word in (code, *names)}


def _words(text: str) -> _Words:
    """The words that tell one place from another, in any order: ISO says "Virgin Islands, British"."""
    words = sorted(_plain(text).split())
    # Andorra's code is AND.
    return tuple(word for word in words if word not in _FILLERS) or tuple(words)


@lru_cache(maxsize=1024)
def _plain(text: str) -> str:
    """`text` without case, accents, punctuation and doubled blanks; `&` and `St` written out."""
    letters = unicodedata.normalize("NFKD", text.replace("&", " and ")).casefold()
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
    letters = letters.replace(".", "").replace("'", "").replace("\u2019", "")
    words = "".join(letter if letter.isalnum() else " " for letter in letters).split()
    return " ".join("saint" if word == "st" else word for word in words)
