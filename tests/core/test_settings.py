"""Settings from plain data: strict, complete in its complaints, and silent about secrets."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bond_core.settings import Secret, SettingsError, json_schema, setting, structure

CANARY = "canary-8f2e"


def two_at_most(values):
    """Refuse more."""
    if len(values) > 2:
        raise ValueError("must be two at most")


@attrs.frozen
class Endpoint:
    url: str = setting(doc="Where it is")
    retries: int = setting(default=3, ge=0, le=10, doc="How often to try again")


@attrs.frozen
class Config:
    api_key: Secret = setting(doc="Key")
    every_s: float = setting(default=5.0, ge=0.5, le=60, doc="Seconds between polls")
    symbols: tuple[str, ...] = setting(default=(), doc="What to poll")
    mode: str = setting(default="fast", choices=("fast", "slow"), doc="How")
    side: Literal["buy", "sell", 1] | None = setting(default=None, doc="Which side")
    verbose: bool = setting(default=False, doc="Say more")
    endpoints: Mapping[str, Endpoint] = setting(default={}, doc="By name")
    limit: int | str = setting(default=0, doc="A number or a word")
    venues: frozenset[str] = setting(default=frozenset(), doc="Which venues")
    extra: Any = setting(default=None, doc="Anything")
    hosts: tuple[str, ...] = setting(default=(), doc="Two at most", check=two_at_most)


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("ACME_KEY", CANARY)


def plain(**changes):
    """Return plain data that is right, but for `changes`."""
    return {"api_key": {"$env": "ACME_KEY"}, **changes}


def problems(**changes):
    """Return what is wrong with a config, by pointer."""
    with pytest.raises(SettingsError) as caught:
        structure(Config, plain(**changes))
    return {problem.pointer: problem for problem in caught.value.problems}


def test_plain_data_becomes_an_instance():
    """Every kind of field is read, and what is left out has its default."""
    config = structure(
        Config,
        plain(
            every_s=1, symbols=["BTC"], side="sell", limit="all", venues=["okx", "okx"],
            endpoints={"a": {"url": "x"}}, extra={"deep": [1]},
        ),
    )  # fmt: skip

    assert config == Config(
        api_key=Secret(CANARY), every_s=1.0, symbols=("BTC",), side="sell", limit="all",
        venues=frozenset({"okx"}), endpoints={"a": Endpoint(url="x")}, extra={"deep": [1]},
    )  # fmt: skip
    assert isinstance(config.every_s, float)


@pytest.mark.parametrize(
    ("key", "value", "detail"),
    [
        ("every_s", "3", "must be a number, was a text"),
        ("every_s", True, "must be a number, was true or false"),
        ("every_s", float("nan"), "must be a finite number, was nan"),
        ("every_s", float("inf"), "must be a finite number, was inf"),
        ("every_s", 10**400, "must be a finite number, was inf"),
        ("every_s", None, "must be a number, was null"),
        ("every_s", 0.1, "must be at least 0.5, was 0.1"),
        ("every_s", 61, "must be at most 60, was 61.0"),
        ("verbose", 1, "must be true or false, was a number"),
        ("verbose", "yes", "must be true or false, was a text"),
        ("symbols", "BTC", "must be a list, was a text"),
        ("symbols", {"BTC": 1}, "must be a list, was an object"),
        ("mode", "fsat", "must be one of fast, slow, was 'fsat'"),
        ("mode", 3, "must be a text, was a number"),
        ("side", "byu", "must be one of buy, sell, 1, was 'byu'"),
        ("side", True, "must be one of buy, sell, 1, was true or false"),
        ("limit", 1.5, "must be a whole number, was a number"),
        ("limit", True, "must be a whole number, was true or false"),
        ("endpoints", [], "must be an object, was a list"),
        ("api_key", None, "a secret is written"),
        ("mode", "\ud800", "is not valid Unicode"),
        ("hosts", ["a", "b", "c"], "must be two at most"),
    ],
)
def test_nothing_is_coerced(key, value, detail):
    """A value of another type or out of bounds is refused at its own pointer, with a reason."""
    found = problems(**{key: value})

    assert list(found) == [f"/{key}"]
    assert found[f"/{key}"].detail.startswith(detail)


def test_everything_wrong_is_told_at_once():
    """One error names every problem of a document, misspelt keys first."""
    with pytest.raises(SettingsError) as caught:
        structure(
            Config,
            {
                "evry_s": 1, "symbols": ["BTC", 3, None], "mode": "x",
                "endpoints": {"a/b~c": {"retries": 11}, "ok": {"url": "x"}},
            },
            pointer="/config",
        )  # fmt: skip

    assert [p.pointer for p in caught.value.problems] == [
        "/config/evry_s",
        "/config/api_key",
        "/config/symbols/1",
        "/config/symbols/2",
        "/config/mode",
        "/config/endpoints/a~1b~0c/url",
        "/config/endpoints/a~1b~0c/retries",
    ]
    assert caught.value.detail == "/config/evry_s: unknown key 'evry_s' (and 6 more)"
    assert caught.value.code == "invalid_settings"


def test_misspelt_keys_and_words_are_suggested():
    """An unknown key or choice comes with what may have been meant."""
    found = problems(symbls=[], mode="fsat")

    assert found["/symbls"].did_you_mean[0] == "symbols"
    assert found["/mode"].did_you_mean == ("fast",)


def test_thousands_of_unknown_keys_are_told_in_no_time():
    """Only some of them get a suggestion, and a long key is shortened: searching costs."""
    with pytest.raises(SettingsError) as caught:
        structure(Config, plain(**{f"symbol{i}": 1 for i in range(5_000)}, **{"k" * 70_000: 1}))

    assert len(caught.value.problems) == 5_001
    assert sum(bool(p.did_you_mean) for p in caught.value.problems) <= 20
    assert max(len(p.detail) for p in caught.value.problems) < 100


@pytest.mark.parametrize("data", [None, [], "x", 3])
def test_settings_are_an_object(data):
    """Anything but an object is refused as a whole."""
    with pytest.raises(SettingsError, match="must be an object") as caught:
        structure(Config, data)

    assert caught.value.problems[0].pointer == ""


def test_a_class_may_check_itself():
    """What the class's own validators refuse is a problem at its place."""

    @attrs.frozen
    class Range:
        low: int
        high: int

        def __attrs_post_init__(self):
            if self.low > self.high:
                raise ValueError("low must not be above high")

    @attrs.frozen
    class Outer:
        range: Range

    Outer.__annotations__ = {"range": Range}  # a text that nobody outside could resolve
    with pytest.raises(SettingsError) as caught:
        structure(Outer, {"range": {"low": 2, "high": 1}})

    assert [(p.pointer, p.detail) for p in caught.value.problems] == [
        ("/range", "low must not be above high")
    ]


# Secrets


def test_a_secret_comes_from_where_it_is_kept(tmp_path):
    """A secret is read from a variable or a file, without the file's last line end."""
    file = tmp_path / "key"
    file.write_text(f"{CANARY}\n")

    for written in ({"$env": "ACME_KEY"}, {"$file": str(file)}):
        assert structure(Config, {"api_key": written}).api_key.reveal() == CANARY


def test_a_secret_never_shows_itself():
    """Neither the secret nor the settings that hold it have it in any of their texts."""
    config = structure(Config, plain())

    for text in (repr(config), str(config), f"{config.api_key}", str(attrs.asdict(config))):
        assert CANARY not in text
    with pytest.raises(TypeError):
        json.dumps(attrs.asdict(config))


@pytest.mark.parametrize(
    ("written", "detail"),
    [
        (CANARY, "a secret is written"),
        ({"$env": "NOPE"}, "environment variable NOPE is not set"),
        ({"$env": CANARY}, "a secret is written"),
        ({"$env": CANARY, "$file": "x"}, "a secret is written"),
        ({"$env": 3}, "a secret is written"),
        ({"$file": "/nowhere/at/all"}, "secret file can't be read: No such file"),
        ({"$file": "/\0"}, "secret file can't be read"),
        ([CANARY], "a secret is written"),
        ({CANARY: CANARY}, "a secret is written"),
    ],
)
def test_what_is_wrong_with_a_secret_is_told_without_it(written, detail):
    """A secret in clear, or one that isn't there, is refused and appears nowhere."""
    with pytest.raises(SettingsError) as caught:
        structure(Config, {"api_key": written})

    error = caught.value
    assert error.problems[0].pointer == "/api_key"
    assert error.problems[0].detail.startswith(detail)
    assert CANARY not in f"{error} {error.problems} {error.__cause__}"


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe"])
def test_a_secret_file_without_a_secret_is_refused(tmp_path, content):
    """An empty file, or one that holds no text, gives no secret."""
    file = tmp_path / "key"
    file.write_bytes(content)

    with pytest.raises(SettingsError, match="secret file"):
        structure(Config, {"api_key": {"$file": str(file)}})


# JSON Schema


def test_the_schema_says_what_structuring_checks():
    """Types, bounds, choices, defaults and documentation are in the schema, which is closed."""
    schema = json_schema(Config)

    assert schema["required"] == ["api_key"]
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    assert properties["every_s"] == {
        "type": "number", "minimum": 0.5, "maximum": 60, "default": 5.0,
        "description": "Seconds between polls",
    }  # fmt: skip
    assert properties["mode"]["enum"] == ["fast", "slow"]
    assert properties["symbols"] == {
        "type": "array", "items": {"type": "string"}, "description": "What to poll"
    }  # fmt: skip
    assert properties["side"]["anyOf"] == [{"enum": ["buy", "sell", 1]}, {"type": "null"}]
    assert properties["endpoints"]["additionalProperties"]["required"] == ["url"]
    assert {tuple(one["properties"]) for one in properties["api_key"]["oneOf"]} == {
        ("$env",),
        ("$file",),
    }


def test_a_type_without_a_json_form_is_an_authors_mistake():
    """A field that no JSON value fits raises when the schema is made, and names the field."""

    @attrs.frozen
    class Odd:
        when: complex = setting(doc="No")

    with pytest.raises(TypeError, match=r"Odd\.when"):
        json_schema(Odd)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_no_json_value_breaks_structuring(value):
    """Whatever stands in a document, the answer is settings or a SettingsError."""
    for key in ("every_s", "symbols", "side", "limit", "endpoints", "venues", "api_key"):
        pointers = []
        try:
            structure(Config, {"api_key": Secret("x"), key: value})
        except SettingsError as error:
            pointers = [problem.pointer for problem in error.problems]
        assert all(pointer.startswith(f"/{key}") for pointer in pointers)


def test_declaring_settings_is_cheap():
    """Plugins are listed without loading cattrs."""
    code = "import sys, bond_core.plugin; sys.exit('cattrs' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
