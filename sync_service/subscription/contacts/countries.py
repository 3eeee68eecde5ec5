"""Countries and states by name or code. Pure.

Zuora keeps names ("United Kingdom", "California"), Limio ISO codes; people type both, and names that ISO does not list.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import cache

import iso3166

#: Names in use that ISO 3166 does not list, as `_plain` leaves them.
_ALIASES: Mapping[str, str] = {
    "america": "US",
    "bolivia": "BO",
    "britain": "GB",
    "brunei": "BN",
    "burma": "MM",
    "cape verde": "CV",
    "congo kinshasa": "CD",
    "congo brazzaville": "CG",
    "czech republic": "CZ",
    "democratic republic of congo": "CD",
    "dr congo": "CD",
    "east timor": "TL",
    "england": "GB",
    "falkland islands": "FK",
    "great britain": "GB",
    "holland": "NL",
    "iran": "IR",
    "ivory coast": "CI",
    "korea": "KR",
    "laos": "LA",
    "macau": "MO",
    "macedonia": "MK",
    "micronesia": "FM",
    "moldova": "MD",
    "nauru": "NR",
    "north korea": "KP",
    "northern ireland": "GB",
    "palestine": "PS",
    "republic of ireland": "IE",
    "republic of korea": "KR",
    "russia": "RU",
    "saint helena": "SH",
    "saint martin": "MF",
    "scotland": "GB",
    "sint maarten": "SX",
    "south korea": "KR",
    "swaziland": "SZ",
    "syria": "SY",
    "taiwan": "TW",
    "tanzania": "TZ",
    "turkey": "TR",
    "uae": "AE",
    "uk": "GB",
    "united kingdom": "GB",
    "united states": "US",
    "usa": "US",
    "us virgin islands": "VI",
    "british virgin islands": "VG",
    "vatican": "VA",
    "vatican city": "VA",
    "venezuela": "VE",
    "vietnam": "VN",
    "wales": "GB",
}

#: Countries whose postal addresses are written with state codes: their post offices' lists.
_STATES: Mapping[str, Mapping[str, str]] = {
    "AU": {
        "ACT": "Australian Capital Territory",
        "NSW": "New South Wales",
        "NT": "Northern Territory",
        "QLD": "Queensland",
        "SA": "South Australia",
        "TAS": "Tasmania",
        "VIC": "Victoria",
        "WA": "Western Australia",
    },
    "CA": {
        "AB": "Alberta",
        "BC": "British Columbia",
        "MB": "Manitoba",
        "NB": "New Brunswick",
        "NL": "Newfoundland and Labrador",
        "NS": "Nova Scotia",
        "NT": "Northwest Territories",
        "NU": "Nunavut",
        "ON": "Ontario",
        "PE": "Prince Edward Island",
        "QC": "Quebec",
        "SK": "Saskatchewan",
        "YT": "Yukon",
    },
    "US": {
        "AK": "Alaska",
        "AL": "Alabama",
        "AR": "Arkansas",
        "AS": "American Samoa",
        "AZ": "Arizona",
        "CA": "California",
        "CO": "Colorado",
        "CT": "Connecticut",
        "DC": "District of Columbia",
        "DE": "Delaware",
        "FL": "Florida",
        "GA": "Georgia",
        "GU": "Guam",
        "HI": "Hawaii",
        "IA": "Iowa",
        "ID": "Idaho",
        "IL": "Illinois",
        "IN": "Indiana",
        "KS": "Kansas",
        "KY": "Kentucky",
        "LA": "Louisiana",
        "MA": "Massachusetts",
        "MD": "Maryland",
        "ME": "Maine",
        "MI": "Michigan",
        "MN": "Minnesota",
        "MO": "Missouri",
        "MP": "Northern Mariana Islands",
        "MS": "Mississippi",
        "MT": "Montana",
        "NC": "North Carolina",
        "ND": "North Dakota",
        "NE": "Nebraska",
        "NH": "New Hampshire",
        "NJ": "New Jersey",
        "NM": "New Mexico",
        "NV": "Nevada",
        "NY": "New York",
        "OH": "Ohio",
        "OK": "Oklahoma",
        "OR": "Oregon",
        "PA": "Pennsylvania",
        "PR": "Puerto Rico",
        "RI": "Rhode Island",
        "SC": "South Carolina",
        "SD": "South Dakota",
        "TN": "Tennessee",
        "TX": "Texas",
        "UT": "Utah",
        "VA": "Virginia",
        "VI": "Virgin Islands",
        "VT": "Vermont",
        "WA": "Washington",
        "WI": "Wisconsin",
        "WV": "West Virginia",
        "WY": "Wyoming",
        "AA": "Armed Forces Americas",
        "AE": "Armed Forces Europe",
        "AP": "Armed Forces Pacific",
    },
}


def country_code(text: str | None) -> str | None:
    """The ISO 3166 code of a country given by name, two letters or three; None where it is not known or blank."""
    return _country_index().get(_plain(text or ""))


def state_code(text: str | None, country: str | None) -> str | None:
    """The post's code of a state given by name or code, in a country (ISO code) that uses codes; else None."""
    return _state_index(country or "").get(_plain(text or ""))


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
def _country_index() -> Mapping[str, str]:
    index: dict[str, str] = {}
    for country in iso3166.countries:
        for name in (country.name, country.apolitical_name, country.alpha2, country.alpha3):
            index[_plain(name)] = country.alpha2
            # ISO's "Bolivia, Plurinational State of" is "Plurinational State of Bolivia" elsewhere.
            if ", " in name:
                head, tail = name.split(", ", 1)
                index.setdefault(_plain(f"{tail} {head}"), country.alpha2)
    return {**index, **_ALIASES}


@cache
def _state_index(country: str) -> Mapping[str, str]:
    states = _STATES.get(country, {})
    return {_plain(word): code for code, name in states.items() for word in (code, name)}


def _plain(text: str) -> str:
    """`text` without case, accents, punctuation, "the" and doubled blanks, `&` and `St` written out."""
    letters = unicodedata.normalize("NFKD", text.replace("&", " and ")).casefold()
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
    letters = letters.replace(".", "").replace("'", "").replace("\u2019", "")
    words = "".join(letter if letter.isalnum() else " " for letter in letters).split()
    return " ".join("saint" if word == "st" else word for word in words if word != "the")
