"""What a spec may say of sinks, what is refused, and what becomes of it."""

from __future__ import annotations

import json

import attrs
import pytest

from bond_core.aggregators import plugin as builtin
from bond_core.errors import Fatal, NotInstalledError, RequestError
from bond_core.plugin import Batching, Channel, ConnectorSpec, Secret, SinkSpec, setting
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.checking import fault_of
from bond_core.plugin.discovery import PluginRow, register
from bond_core.runtime.binding import Defaults, bind
from bond_core.runtime.sink_policy import SinkPolicy
from bond_core.spec.canonical import canonical_json, spec_as_json, stream_id
from bond_core.spec.read import read_spec

CANARY = "canary-3f9a11"


@attrs.frozen
class HookConfig:
    """Settings of a sink."""

    url: str = setting(doc="Where to")
    secret: Secret | None = setting(default=None, doc="What signs")
    timeout_s: float = setting(default=15.0, ge=1, doc="How long to wait")
    secrets: tuple[Secret, ...] = setting(default=(), doc="What signed before")


HOOK = SinkSpec(
    name="hook", factory="m:H", summary="s", config=HookConfig, batch=Batching(records=50)
)
MARKET = ConnectorSpec(
    name="market", factory="m:C", summary="s",
    channels=(Channel(name="trades", kind="trade", fields=("price_close",)),),
)  # fmt: skip
CATALOG = Catalog(
    PluginRow(name=n, distribution="d", version="1", module="m", state="loaded", specs=specs)
    for n, specs in (("builtin", register(builtin, name="builtin")), ("test", (MARKET, HOOK)))
)


def bound(*sinks, policy=None, **keys):
    """Bind a spec with these sinks."""
    spec = {"sources": [{"type": "market"}], "symbols": ["BTC/USDT"], "sinks": list(sinks), **keys}
    defaults = Defaults(sinks=policy or SinkPolicy())
    return bind(read_spec(spec)[0], CATALOG, defaults)


def hook(**changes):
    """Return a sink's entry."""
    return {"type": "hook", "url": "https://a.example", **changes}


def refusal(*sinks, error=RequestError, **keys):
    """Return the error that refuses it."""
    with pytest.raises(error) as caught:
        bound(*sinks, **keys)
    return caught.value


def test_a_sink_is_bound_with_its_settings(monkeypatch):
    """Secrets are revealed to it alone; what the spec leaves open is the plugin's choice."""
    monkeypatch.setenv("HOOK_KEY", CANARY)
    stream = bound(hook(secret={"$env": "HOOK_KEY"}, batch_wait_sec="2s"))

    sink = stream.sinks[0]
    assert sink.name == "hook"
    assert sink.config.secret.reveal() == CANARY
    assert sink.batch == Batching(records=50, wait_s=2.0)
    assert CANARY not in repr(stream)
    assert CANARY not in canonical_json(stream.spec)
    assert spec_as_json(stream.spec)["sinks"] == [
        {"type": "hook", "url": "https://a.example", "secret": {"$env": "HOOK_KEY"},
         "batch_wait_sec": 2}
    ]  # fmt: skip


def test_a_secret_file_is_read(tmp_path):
    """A secret may be kept in a file."""
    (tmp_path / "key").write_text(CANARY)
    stream = bound(hook(secret={"$file": str(tmp_path / "key")}))

    assert stream.sinks[0].config.secret.reveal() == CANARY


@pytest.mark.parametrize(
    ("sink", "pointer", "near"),
    [
        ({"url": "x"}, "/spec/sinks/0/type", ()),
        (hook(typ="x"), "/spec/sinks/0/typ", None),
        (hook(ulr="x"), "/spec/sinks/0/ulr", ("url",)),
        (hook(batch_record=3), "/spec/sinks/0/batch_record", ("batch_records",)),
        (hook(batch_records=0), "/spec/sinks/0/batch_records", None),
        (hook(batch_wait_sec="soon"), "/spec/sinks/0/batch_wait_sec", None),
        (hook(timeout_s=0), "/spec/sinks/0/timeout_s", None),
        ({"type": "hook"}, "/spec/sinks/0/url", None),
        (hook(name="../x"), "/spec/sinks/0/name", None),
        (hook(type="hok"), "/spec/sinks/0/type", ("hook",)),
        (hook(config={}), "/spec/sinks/0/config", None),
        (hook(secret=CANARY), "/spec/sinks/0/secret", None),
        (hook(secret={"$env": "NOT_SET_ANYWHERE"}), "/spec/sinks/0/secret", None),
        (hook(secret={"$env": "BOND_SECRET"}), "/spec/sinks/0/secret", None),
        (hook(secrets=[{"$env": "REDIS_URL"}]), "/spec/sinks/0/secrets/0", None),
    ],
)
def test_what_is_wrong_is_told_with_its_place(sink, pointer, near):
    """Every mistake names where it is, and what may have been meant; none repeats a secret."""
    error = refusal(sink)

    problem = {p.pointer: p for p in error.problems}[pointer]
    if near is not None:
        assert problem.did_you_mean[: len(near)] == near
    assert CANARY not in f"{error}{error.problems}{error.fix}{error.__cause__}"


def test_a_fix_repeats_no_secret():
    """A spec that is mended for another mistake loses the sinks that show a secret."""
    for shown in ({"secret": CANARY}, {"keys": {"api_key": CANARY}}, {"x": f"whsec_{CANARY}"}):
        error = refusal(hook(**shown), hook(name="fine"), mode="rwa")

        assert CANARY not in f"{error}{error.problems}"
        assert json.loads(error.fix)["sinks"] == [hook(name="fine")]


def test_two_sinks_need_two_names():
    """A place is kept under a sink's name, so it must be one sink's."""
    error = refusal(hook(), hook(url="https://b.example"))

    assert error.problems[0].pointer == "/spec/sinks/1/name"
    assert [s.name for s in bound(hook(), hook(name="second")).sinks] == ["hook", "second"]


def test_sinks_are_part_of_the_stream_but_not_their_order():
    """Another sink is another stream; order and what is said by default make no difference."""
    two = hook(), hook(name="b")

    def id_of(*sinks):
        return stream_id("p", bound(*sinks).spec)

    assert id_of() != id_of(hook()) != id_of(hook(url="https://b.example"))
    assert id_of(*two) == id_of(*two[::-1])
    assert id_of(hook()) == id_of(hook(name="hook", timeout_s=15.0, batch_records=50, secret=None))
    assert id_of(hook()) != id_of(hook(batch_records=51))


def test_the_canonical_form_binds_to_itself():
    """What binding writes reads back and binds to the same."""
    spec = bound(hook(batch_wait_sec="1m30s", batch_records=7), hook(name="b", timeout_s=3)).spec

    again = bind(read_spec(json.loads(canonical_json(spec)))[0], CATALOG, Defaults()).spec
    assert again == spec


def test_known_sinks_say_what_to_install():
    """A sink that Bond knows of is not unknown: its plugin is missing."""
    error = refusal({"type": "kafka"}, error=NotInstalledError)

    assert "bond-kafka" in error.detail


def test_more_than_eight_are_refused():
    """The list is bounded."""
    error = refusal(*(hook(name=f"s{n}") for n in range(9)))

    assert error.problems[0].pointer == "/spec/sinks"


def test_a_policy_says_which_secrets_may_be_named(monkeypatch, tmp_path):
    """Variables by pattern, files by folder; a link that leads out of it is no way out."""
    monkeypatch.setenv("HOOK_KEY", CANARY)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "key").write_text(CANARY)
    (tmp_path / "out").write_text(CANARY)
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    policy = SinkPolicy(variables=("HOOK_*",), secret_folders=(tmp_path / "in",))

    for allowed in ({"$env": "HOOK_KEY"}, {"$file": str(tmp_path / "in" / "key")}):
        assert bound(hook(secret=allowed), policy=policy).sinks
    for kept in (
        {"$env": "PATH"}, {"$file": str(tmp_path / "out")}, {"$file": "\0"},
        {"$file": str(tmp_path / "in" / "link")}, {"$file": str(tmp_path / "in/../out")},
    ):  # fmt: skip
        error = refusal(hook(secret=kept), policy=policy)
        assert error.problems[0].pointer == "/spec/sinks/0/secret"


def test_a_policy_says_where_files_may_be_written(tmp_path):
    """Relative paths begin in the folder, and none leads out of it, by a link neither."""
    folder = tmp_path / "sinks"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    policy = SinkPolicy(folder=folder)

    assert policy.path("a/b") == folder / "a" / "b"
    assert policy.path(str(folder / "c")) == folder / "c"
    for out in ("..", "/etc", "a/../../b", "link/x", "\0"):
        with pytest.raises(Fatal) as caught:
            policy.path(out)
        assert caught.value.code == "forbidden_path"
    with pytest.raises(Fatal, match="lets no sink write files"):
        SinkPolicy(writes=False).path("a")


def test_a_sinks_settings_cannot_take_the_streams_words():
    """A plugin whose setting is called as the stream's own key is refused as a whole."""

    @attrs.frozen
    class Named:
        name: str = setting(doc="x")

    spec = SinkSpec(name="x", factory="m:X", summary="s", config=Named)
    assert "'name'" in fault_of(spec)
    assert fault_of(attrs.evolve(HOOK, batch=Batching(records=0))) is not None
    assert fault_of(attrs.evolve(HOOK, batch=Batching(records="many"))) is not None
    assert fault_of(HOOK) is None
