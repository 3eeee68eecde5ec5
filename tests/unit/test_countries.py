"""Countries and states by name or code."""

from __future__ import annotations

import json
from importlib.resources import files

import iso3166
import pytest

from sync_service.subscription.contacts import country_code, is_same_country, is_same_state, state_code

_DATA = json.loads(files("sync_service.subscription").joinpath("countries.json").read_text(encoding="utf-8"))
STATES: dict[str, dict[str, list[str]]] = _DATA["states"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("United Kingdom", "GB"),
        ("united kingdom", "GB"),
        ("UK", "GB"),
        ("U.K.", "GB"),
        ("GBR", "GB"),
        ("gb", "GB"),
        ("England", "GB"),
        ("Scotland", "GB"),
        ("Wales", "GB"),
        ("Northern Ireland", "GB"),
        ("Great Britain", "GB"),
        ("USA", "US"),
        ("U.S.A.", "US"),
        ("United States", "US"),
        ("The United States of America", "US"),
        ("South Korea", "KR"),
        ("Korea, Republic of", "KR"),
        ("North Korea", "KP"),
        ("Russia", "RU"),
        ("Vietnam", "VN"),
        ("Viet Nam", "VN"),
        ("Czech Republic", "CZ"),
        ("Czechia", "CZ"),
        ("Ivory Coast", "CI"),
        ("Cote d'Ivoire", "CI"),
        ("Côte d’Ivoire", "CI"),
        ("Turkey", "TR"),
        ("Türkiye", "TR"),
        ("Holland", "NL"),
        ("The Netherlands", "NL"),
        ("Bolivia", "BO"),
        ("Plurinational State of Bolivia", "BO"),
        ("Tanzania", "TZ"),
        ("Trinidad & Tobago", "TT"),
        ("St. Lucia", "LC"),
        ("Curacao", "CW"),
        ("Taiwan", "TW"),
        ("Moldova", "MD"),
        ("Iran", "IR"),
        ("Syria", "SY"),
        ("Laos", "LA"),
        ("Swaziland", "SZ"),
        ("Cape Verde", "CV"),
        ("Macedonia", "MK"),
        ("Vatican City", "VA"),
        ("Hong Kong", "HK"),
        ("Macau", "MO"),
        ("Ireland", "IE"),
        ("Guinea", "GN"),
        ("Niger", "NE"),
        ("Georgia", "GE"),
    ],
)
def test_a_country_is_known_by_name_code_and_everyday_name(text: str, code: str) -> None:
    assert country_code(text) == code


#: Names of Zuora's country list that are none of ISO 3166, by code ("Set up countries, regions, and subregions").
ZUORA_NAMES = {
    "BO": ["Bolivia"],
    "BQ": ["Bonaire, Saint Eustatius and Saba"],
    "CD": ["Congo. Democratic Republic of the", "Congo, the Democratic Republic of the"],
    "CG": ["Congo"],
    "CI": ["Cote d'Ivoire"],
    "CV": ["Cape Verde"],
    "CW": ["Curacao"],
    "CZ": ["Czech Republic"],
    "FK": ["Falkland Islands"],
    "FM": ["Micronesia, Federated States of"],
    "GB": ["United Kingdom"],
    "HK": ["Hong Kong, China", "Hong Kong"],
    "HM": ["Heard and McDonald Islands"],
    "IR": ["Iran"],
    "KP": ["Korea (North)"],
    "KR": ["Korea, Republic of"],
    "LY": ["Libyan Arab Jamahiriya", "Libya"],
    "MK": ["Macedonia", "Macedonia, the Former Yugoslav Republic of"],
    "MO": ["Macau"],
    "NR": ["Nauru"],
    "PS": ["Palestinian Territory, Occupied"],
    "RE": ["Reunion"],
    "SH": ["St. Helena"],
    "PM": ["St. Pierre and Miquelon"],
    "SJ": ["Svalbard and Jan Mayen Islands"],
    "SX": ["Sint Maarten"],
    "SZ": ["Swaziland"],
    "TL": ["East Timor"],
    "TR": ["Turkey"],
    "TW": ["Taiwan"],
    "TZ": ["Tanzania"],
    "US": ["United States"],
    "VA": ["Vatican City State (Holy See)", "Holy See (Vatican City State)"],
    "VE": ["Venezuela"],
    "VG": ["Virgin Islands (British)"],
    "VI": ["Virgin Islands (U.S.)"],
    "WF": ["Wallis and Futuna Islands"],
    "WS": ["Samoa (Independent)"],
}


@pytest.mark.parametrize("code", ZUORA_NAMES)
def test_a_country_is_known_by_the_names_that_zuora_has_for_it(code: str) -> None:
    assert {name: country_code(name) for name in ZUORA_NAMES[code]} == dict.fromkeys(ZUORA_NAMES[code], code)


@pytest.mark.parametrize(
    ("name", "country", "code"),
    [
        ("Armed Forces America", "US", "AA"),
        ("Armed Forces", "US", "AE"),
        ("Washington DC", "US", "DC"),
        ("Washington", "US", "WA"),
        ("Virgin Islands", "US", "VI"),
        ("Québec", "CA", "QC"),
        ("Yukon Territory", "CA", "YT"),
    ],
)
def test_a_state_is_known_by_the_name_that_zuora_has_for_it(name: str, country: str, code: str) -> None:
    assert state_code(name, country) == code


def test_no_two_states_of_one_country_share_a_name() -> None:
    for country, states in STATES.items():
        assert {word: state_code(word, country) for code, names in states.items() for word in (code, *names)} == {
            word: code for code, names in states.items() for word in (code, *names)
        }


@pytest.mark.parametrize("text", [None, "", "  ", "Atlantis", "Londn"])
def test_what_is_no_country_has_no_code(text: str | None) -> None:
    assert country_code(text) is None


def test_every_country_of_the_standard_is_known_by_its_own_names() -> None:
    for country in iso3166.countries:
        for name in (country.name, country.alpha2, country.alpha3):
            assert country_code(name) == country.alpha2, name


@pytest.mark.parametrize(
    ("text", "country", "code"),
    [
        ("California", "US", "CA"),
        ("ca", "US", "CA"),
        ("New York", "US", "NY"),
        ("Québec", "CA", "QC"),
        ("Ontario", "CA", "ON"),
        ("New South Wales", "AU", "NSW"),
        ("vic", "AU", "VIC"),
        ("Washington", "US", "WA"),
        ("WA", "AU", "WA"),
        ("Bavaria", "DE", None),
        ("California", "GB", None),
        ("California", None, None),
        (None, "US", None),
    ],
)
def test_a_state_has_a_code_only_where_its_country_writes_codes(
    text: str | None, country: str | None, code: str | None
) -> None:
    assert state_code(text, country) == code


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("GB", "United Kingdom", True),
        ("GB", "England", True),
        ("GB", "IE", False),
        ("", None, True),
        ("GB", "", False),
        ("Atlantis", "atlantis", True),
        ("Atlantis", "Lemuria", False),
        ("Atlantis", "GB", False),
    ],
)
def test_countries_are_equal_when_name_or_code_agree(one: str | None, other: str | None, same: bool) -> None:
    assert is_same_country(one, other) is same


def test_states_are_equal_by_code_in_their_country_and_by_word_elsewhere() -> None:
    assert is_same_state("CA", "California", "US")
    assert not is_same_state("CA", "Colorado", "US")
    assert not is_same_state("CA", "California", "MX")
    assert is_same_state("Bayern", "BAYERN", "DE")
