"""The page about custom sources: its examples are compiled and read as they stand there."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import attrs
import pytest

from bond_core.plugin.catalog import Catalog
from bond_core.plugin.context import Subscription
from bond_core.plugin.discovery import Plugins
from bond_core.settings import structure
from bond_server.local import Bond
from bond_websocket.config import CustomConfig, EventRule, Heartbeat, MessageMapping
from bond_websocket.connector import CustomConnector

PAGE = (Path(__file__).parents[3] / "docs" / "custom.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(
    r"## Example: ([^\n]+)\n.*?```json\n(.*?)```.*?The message\n\n```json\n(.*?)```\n\n"
    r"becomes\n\n```json\n(.*?)```",
    re.DOTALL,
)
EXAMPLES = {name: tuple(map(json.loads, texts)) for name, *texts in EXAMPLE.findall(PAGE)}


class Asked:
    """A context in which a spec's symbols are wanted on every channel."""

    def __init__(self, config, symbols):
        self.clock = self.wanted = self
        self.said = []
        self._wanted = frozenset(Subscription(c, s) for c in config.channels for s in symbols)

    def current(self):
        """See Subscriptions."""
        return self._wanted

    def now_ns(self):
        """See Clock."""
        return 1_700_000_000_000_000_000

    monotonic_ns = now_ns

    def reject(self, why, n=1):
        """See Context."""
        self.said.append(why)

    def live(self, channel, symbol=None):
        """See Context."""
        self.said.append("live")


def test_there_are_four():
    """No example is lost to a slip in the page's form."""
    assert len(EXAMPLES) == PAGE.count("## Example: ") == 4


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_compiles(name):
    """Each spec is accepted as it stands, and its source is called by its host."""
    spec, _, _ = EXAMPLES[name]

    bound = Bond(catalog=Catalog.loaded(Plugins())).compile({"spec": spec}).bound

    host = re.search("//([^/:]+)", spec["sources"][0]["url"])[1]
    assert bound.sources[0].plan.name == host
    assert bound.spec.sources[0].type == "custom"


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("form", [json.dumps, lambda m: gzip.compress(json.dumps(m).encode())])
def test_a_message_becomes_what_the_page_says(name, form):
    """Its message is read to the very events that stand below it, packed or not."""
    spec, message, shown = EXAMPLES[name]
    source = spec["sources"][0]
    config = structure(CustomConfig, {"url": source["url"], "mapping": source["mapping"]})
    ctx = Asked(config, spec["symbols"])

    heard = [event for _, event in CustomConnector(config).parse(form(message), ctx)]

    shown = shown if isinstance(shown, list) else [shown]
    found = [{"kind": event.kind, **attrs.asdict(event)} for event in heard]
    assert [{key: one[key] for key in want} for one, want in zip(found, shown, strict=True)] == (
        shown
    )
    assert ctx.said == []


def test_the_page_names_every_key():
    """Every key that a mapping or a rule may have stands on the page."""
    keys = re.findall(r"`([a-z_]+)`", PAGE)

    for cls in (MessageMapping, EventRule, Heartbeat):
        assert {field.name for field in attrs.fields(cls)} <= set(keys), cls.__name__
