from __future__ import annotations

import stat
import sys

import pytest

from bond_core.errors import SetupError
from bond_core.settings import SettingsError
from bond_server.auth.keys import key_file, make_key
from bond_server.auth.limits import ON_LOOPBACK, PUBLIC, Rate
from bond_server.auth.secret import PUBLISHED_DEFAULT, keep_secret, new_secret
from bond_server.environment import apply_dotenv, read_dotenv
from bond_server.settings import UnsafeBindError, read_settings

ANYWHERE = "0.0.0.0"  # noqa: S104 -- the address is what is tested
GOOD = "0123456789abcdef" * 4
A_KEY = f"bk_test1_{'a' * 43}"


def read(tmp_path, **environ):
    """Read settings on loopback, with a data folder of the test's own."""
    return read_settings({"BOND_DATA_DIR": str(tmp_path / "data")} | environ)


def test_the_environment_becomes_settings(tmp_path):
    """
    Every variable of the contract lands in its field, in its type.
    """
    settings = read(
        tmp_path, BOND_SECRET=GOOD, BOND_SECRET_PREVIOUS="old", BOND_TOKEN_TTL="300",
        BOND_SECRET_PREVIOUS_VALID_UNTIL="2026-01-31T00:00:00Z",
        BOND_MAX_STREAMS="7", BOND_RING_SECONDS="90.5", WS_HOST="localhost:8080",
        PUBLIC_WS_BASE="wss://s.example.com/ws", BOND_DEFAULT_EXCHANGES="Kraken, okx,",
        BOND_SIMULATE="1",
    )  # fmt: skip

    assert settings.secret.reveal() == GOOD
    assert settings.secret_previous.reveal() == "old"
    assert settings.secret_previous_until_s == 1_769_817_600
    assert (settings.token_ttl_s, settings.max_streams, settings.ring_seconds) == (300, 7, 90.5)
    assert settings.ws_host == "localhost:8080"
    assert settings.public_ws_base == "wss://s.example.com/ws"
    assert settings.default_exchanges == ("kraken", "okx")
    assert settings.simulate
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BOND_TOKEN_TTL", "1h"), ("BOND_TOKEN_TTL", "0"), ("BOND_TOKEN_TTL", "1e3"),
        ("BOND_MAX_STREAMS", "-1"), ("BOND_MAX_STREAMS", "٣"), ("BOND_MAX_STREAMS", "9" * 5000),
        ("BOND_RING_SECONDS", "nan"), ("BOND_RING_SECONDS", "inf"), ("BOND_SIMULATE", "maybe"),
        ("PUBLIC_WS_BASE", "http://s.example.com"), ("WS_HOST", "ws://localhost/"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_named(tmp_path, name, value):
    """
    A variable that can't be meant is refused by its name, with what it said.
    """
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, BOND_SECRET=GOOD, **{name: value})

    assert [problem.pointer for problem in refused.value.problems] == [name]
    assert name in str(refused.value)


def test_everything_wrong_is_said_at_once(tmp_path):
    """
    Two wrong variables are two problems of one error.
    """
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, BOND_TOKEN_TTL="x", BOND_MAX_STREAMS="y")

    assert len(refused.value.problems) == 2


@pytest.mark.parametrize("given", [None, "", "short", PUBLISHED_DEFAULT])
def test_on_loopback_a_weak_secret_is_replaced_and_kept(tmp_path, given):
    """
    A random secret takes its place, with a warning, the same one at the next start.
    """
    environ = {} if given is None else {"BOND_SECRET": given}
    first, second = read(tmp_path, **environ), read(tmp_path, **environ)

    assert first.secret == second.secret
    assert len(first.secret.reveal()) == 64
    assert "BOND_SECRET" in first.warnings[0]
    assert first.secret.reveal() not in repr(first)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_the_kept_secret_is_its_owners_alone(tmp_path):
    """
    The file has mode 0600 from the start, and gets it back where somebody changed it.
    """
    path = tmp_path / "data" / "secret"
    kept = keep_secret(path)
    path.chmod(0o644)

    assert keep_secret(path) == kept
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_holds_no_secret_is_not_used(tmp_path):
    """
    An empty or cut file is refused rather than signed with.
    """
    path = tmp_path / "secret"
    path.write_text("too short\n")

    with pytest.raises(SetupError, match="holds no secret"):
        keep_secret(path)


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    """
    Where the secret can't be kept, the error says where and what to set.
    """
    (tmp_path / "data").write_text("a file, not a folder")

    with pytest.raises(SetupError, match="BOND_SECRET"):
        read(tmp_path)


@pytest.mark.parametrize("host", [ANYWHERE, "::", "192.168.1.5", "bond.example.com", ""])
@pytest.mark.parametrize(
    ("environ", "wrong"),
    [
        ({}, ["BOND_SECRET", "BOND_OPEN"]),
        ({"BOND_SECRET": GOOD}, ["BOND_OPEN"]),
        ({"BOND_SECRET": PUBLISHED_DEFAULT, "BOND_OPEN": "1"}, ["BOND_SECRET"]),
        ({"BOND_SECRET": "short", "BOND_OPEN": "1"}, ["BOND_SECRET"]),
    ],
    ids=["nothing set", "nobody asked for a key", "published secret", "short secret"],
)
def test_an_address_that_others_reach_is_refused(tmp_path, host, environ, wrong):
    """
    Off loopback it takes a good secret, and the word that it is open on purpose.
    """
    with pytest.raises(UnsafeBindError) as refused:
        read_settings({"BOND_DATA_DIR": str(tmp_path / "data")} | environ, host=host)

    assert [problem.pointer for problem in refused.value.problems] == wrong
    assert not (tmp_path / "data").exists()


def test_an_address_that_others_reach_can_be_asked_for(tmp_path):
    """
    With a good secret and BOND_OPEN=1 it starts anywhere.
    """
    environ = {"BOND_DATA_DIR": str(tmp_path), "BOND_SECRET": GOOD, "BOND_OPEN": "1"}

    assert read_settings(environ, host=ANYWHERE).host == ANYWHERE


def test_a_redis_url_is_kept_secret(tmp_path):
    """
    It may hold a password: neither the settings nor a mistake in it show it.
    """
    settings = read(tmp_path, BOND_SECRET=GOOD, REDIS_URL="redis://:hunter2@localhost:6379/0")

    assert settings.redis_url.reveal() == "redis://:hunter2@localhost:6379/0"
    assert "hunter2" not in repr(settings)
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, BOND_SECRET=GOOD, REDIS_URL="http://:hunter2@localhost")
    assert "hunter2" not in str(caught.value) + repr(caught.value.problems)


def test_a_dotenv_is_read_and_the_environment_wins(tmp_path):
    """
    Comments, quotes and `export` are understood; what is set already stays.
    """
    (tmp_path / ".env").write_text(
        "# a comment\n\nWS_HOST=localhost:8080 # why\nexport BOND_TOKEN_TTL='300'\n"
        'X_BEARER="a # b" # c\nEMPTY=\nBOND_MAX_STREAMS=9\nnonsense\nHASH=a#b\n'
    )
    environ = {"BOND_MAX_STREAMS": "5"}
    apply_dotenv(environ, tmp_path)

    assert environ == {
        "WS_HOST": "localhost:8080", "BOND_TOKEN_TTL": "300", "X_BEARER": "a # b", "EMPTY": "",
        "BOND_MAX_STREAMS": "5", "HASH": "a#b",
    }  # fmt: skip


def test_no_dotenv_is_no_error(tmp_path):
    """
    A folder without `.env` says nothing; one that is no text says so.
    """
    assert read_dotenv(tmp_path / ".env") == {}
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError):
        read_dotenv(tmp_path / ".env")


def test_new_secrets_are_good_and_differ():
    """
    Each is 256 bits, as hex.
    """
    assert new_secret() != new_secret()
    assert len(bytes.fromhex(new_secret())) == 32


def test_access_is_read_from_the_environment(tmp_path):
    """
    Keys, origins, hosts, rates and caps land in their fields; loopback's defaults are generous.
    """
    settings = read(
        tmp_path, BOND_SECRET=GOOD, BOND_API_KEYS=f"{A_KEY}@desk",
        BOND_ALLOWED_ORIGINS="https://App.example.com/, http://b.example:3000",
        BOND_ALLOWED_HOSTS="bond.example.com", PUBLIC_WS_BASE="wss://s.example.com/ws",
        BOND_RATE_READS="7/s:9", BOND_RATE_BAD_TOKENS="off", BOND_MAX_CONNECTIONS="11",
        BOND_MAX_CONNECTIONS_PER_TOKEN="3",
    )  # fmt: skip

    assert [(key.key_id, key.project) for key in settings.api_keys] == [("test1", "desk")]
    assert settings.allowed_origins == {"https://app.example.com", "http://b.example:3000"}
    assert settings.limits.reads == Rate(7, 1, 9)
    assert settings.limits.bad_tokens is None
    assert (settings.limits.connections, settings.limits.per_token) == (11, 3)
    assert settings.limits.writes == ON_LOOPBACK.writes
    origins = settings.origins()
    assert origins.is_loopback
    assert origins.accepts_origin("https://s.example.com", "localhost")
    assert {"bond.example.com", "s.example.com", "app.example.com"} <= origins.hosts
    assert "a" * 43 not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BOND_RATE_WRITES", "many"), ("BOND_ALLOWED_ORIGINS", "app.example.com"),
        ("BOND_API_KEYS", "secret"), ("BOND_MAX_REPLAYS", "0"), ("BOND_MAX_TOKENS", "x"),
        ("BOND_SECRET_PREVIOUS_VALID_UNTIL", "tomorrow"),
    ],
)  # fmt: skip
def test_access_that_makes_no_sense_is_named(tmp_path, name, value):
    """
    As any other variable.
    """
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, BOND_SECRET=GOOD, **{name: value})

    assert [problem.pointer for problem in refused.value.problems] == [name]


def test_a_key_opens_an_address_that_others_reach(tmp_path):
    """
    A key in the environment, or one that `bond keys` made, does what BOND_OPEN=1 does; the
    limits are then those for strangers.
    """
    environ = {"BOND_DATA_DIR": str(tmp_path), "BOND_SECRET": GOOD}
    with pytest.raises(UnsafeBindError):
        read_settings(environ, host=ANYWHERE)

    settings = read_settings(environ | {"BOND_API_KEYS": A_KEY}, host=ANYWHERE)
    assert settings.limits == PUBLIC
    assert not settings.origins().is_loopback
    make_key(key_file(tmp_path), project="desk", scopes=["admin"], label=None, now_s=1)
    assert read_settings(environ, host=ANYWHERE).api_keys == ()


def test_a_weak_previous_secret_is_refused_where_others_reach(tmp_path):
    """
    Tokens could be forged with it as well as with a weak current one.
    """
    environ = {"BOND_DATA_DIR": str(tmp_path), "BOND_SECRET": GOOD, "BOND_OPEN": "1"}
    with pytest.raises(UnsafeBindError) as refused:
        read_settings(environ | {"BOND_SECRET_PREVIOUS": PUBLISHED_DEFAULT}, host=ANYWHERE)

    assert [problem.pointer for problem in refused.value.problems] == ["BOND_SECRET_PREVIOUS"]


def test_a_previous_secret_without_an_end_is_told(tmp_path):
    """
    It counts, as long as it is set; the warning names what gives it an end.
    """
    settings = read(tmp_path, BOND_SECRET=GOOD, BOND_SECRET_PREVIOUS="f" * 64)

    assert any("BOND_SECRET_PREVIOUS_VALID_UNTIL" in warning for warning in settings.warnings)


@pytest.mark.parametrize(
    ("text", "future"), [("", "reject"), ("reject", "reject"), ("clamp", "clamp")]
)
def test_what_happens_to_events_of_the_future_is_a_setting(tmp_path, text, future):
    """
    They are refused, unless it says that they count when they were heard.
    """
    assert read(tmp_path, BOND_FUTURE_EVENTS=text).future == future
    with pytest.raises(SettingsError, match="BOND_FUTURE_EVENTS must be reject or clamp"):
        read(tmp_path, BOND_FUTURE_EVENTS="keep")
