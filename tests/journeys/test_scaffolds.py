"""`bond plugins new`: the package installs offline, is spoken of, runs, and passes its tests."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys

import pytest

from bond_server.scaffold.package import check_name, files_of
from tests.journeys.command_line import bond
from tests.journeys.installed import lay_out, on_path, pip_install
from tests.journeys.sources import VENDOR, answering, first_record, path_of, pushing

KINDS = ("poll", "websocket", "sdk", "aggregator", "sink")
SENTENCES = {
    "poll": "BTC bid and ask from acme-fx every 5s",
    "websocket": "BTC price from acme-fx every 1s",
    "sdk": "BTC bid and ask from acme-fx every 1s",
    "aggregator": "BTC acme fx typical price every 1s",
}


@pytest.fixture(name="site", params=KINDS)
def _site(request, tmp_path):
    """A folder in which the package of one kind is installed, and the kind."""
    files = files_of("acme-fx", request.param)
    if request.param == "sdk":  # as its author will: the vendor's library in place of nothing
        files["bond_acme_fx/vendor.py"] = VENDOR
    lay_out(tmp_path, files)
    return tmp_path, request.param


@pytest.mark.parametrize("kind", SENTENCES)
def test_its_words_are_understood(tmp_path, kind):
    """
    Installed, and nothing else changed: explain and the page know its words.
    """
    lay_out(tmp_path, files_of("acme-fx", kind))
    env = path_of(tmp_path)

    explained = bond("explain", SENTENCES[kind], "--json", env={**env, "ACME_FX_KEY": "k3y-k3y"})
    page = bond("plugins", "docs", "acme-fx", env=env)

    assert explained.returncode == 0, explained.stderr
    answer = json.loads(explained.stdout)
    assert answer["needs"] == [], explained.stdout
    source = "ccxt" if kind == "aggregator" else "acme-fx"
    assert [s["type"] for s in answer["spec"]["sources"]] == [source]
    if kind == "aggregator":
        assert answer["spec"]["fields"] == ["acme_fx_typical_price"]
    assert "$ bond listen" in page.stdout
    assert "acme" in page.stdout.split("## Asking for it")[1]


def test_info_and_doctor_find_it_well(site):
    """
    What it brings is shown with its settings, whatever kind it is.
    """
    folder, kind = site

    info = bond("plugins", "info", "acme-fx", "--json", env=path_of(folder))
    doctor = bond("plugins", "doctor", env=path_of(folder))

    assert info.returncode == doctor.returncode == 0, info.stdout + doctor.stdout
    record = json.loads(info.stdout)
    what = kind if kind in ("aggregator", "sink") else "connector"
    assert [spec["what"] for spec in record["provides"]] == [what]


# Its stream runs


@pytest.mark.parametrize(
    ("kind", "served", "field", "value"),
    [("poll", answering, "bid_avg", 1.0), ("websocket", pushing, "price_close", 7.0)],
)
def test_its_stream_runs_from_a_url(tmp_path, kind, served, field, value):
    """
    Records come of what a server on this machine says, which the spec names.
    """

    async def go():
        async with served() as url:
            source = {"type": "acme-fx", "url": url}
            if kind == "poll":
                source["interval_sec"] = 0.5
            spec = {"sources": [source], "symbols": ["BTC/USDT"], "interval_sec": 1}
            return await first_record(spec, field)

    lay_out(tmp_path, files_of("acme-fx", kind))
    with on_path(tmp_path):
        record = asyncio.run(go())

    assert record[field] == value
    assert record["sources"]["acme-fx"]["status"] == "live"


def test_its_stream_runs_through_a_library_that_blocks(tmp_path, monkeypatch):
    """
    The vendor's library in, its key in the environment, and a sentence asks for it.
    """
    monkeypatch.setenv("ACME_FX_KEY", "a-real-key")
    lay_out(tmp_path, {**files_of("acme-fx", "sdk"), "bond_acme_fx/vendor.py": VENDOR})

    with on_path(tmp_path):
        record = asyncio.run(first_record(SENTENCES["sdk"], "bid_avg"))

    assert (record["bid_avg"], record["ask_avg"]) == (1.0, 3.0)


def test_its_field_is_computed_of_what_others_bring(tmp_path):
    """
    An aggregator's word is asked of markets that know nothing of it.
    """
    lay_out(tmp_path, files_of("acme-fx", "aggregator"))

    with on_path(tmp_path):
        sentence, field = SENTENCES["aggregator"], "acme_fx_typical_price"
        record = asyncio.run(first_record(sentence, field, simulate=True))

    assert record[field] > 0


# Its own tests, and what they cost


@pytest.mark.parametrize("kind", ["sdk", "aggregator"])
def test_it_installs_offline_and_passes_its_tests(tmp_path, kind):
    """
    Built and installed by pip without a network, its own tests pass; all kinds have one build.
    """
    package, site = tmp_path / "bond-acme-fx", tmp_path / "site"
    made = bond("plugins", "new", "acme-fx", "--kind", kind, cwd=tmp_path)
    pip_install(site, package)
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", package],
        env={**os.environ, **path_of(site)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert made.returncode == 0, made.stderr
    assert tested.returncode == 0, tested.stdout
    assert " passed" in tested.stdout


# Names


@pytest.mark.parametrize(("given", "name"), [("acme", "acme"), ("bond-acme-2", "acme-2")])
def test_a_name_is_taken(given, name):
    """With or without `bond-`."""
    assert check_name(given) == name


@pytest.mark.parametrize(
    "name", ["Acme", "acme_fx", "2acme", "a" * 41, "class", "builtin", "", "-"]
)
def test_what_is_no_name_is_refused(tmp_path, name):
    """
    Nothing is written, and where it can be said, a name that works is.
    """
    done = bond("plugins", "new", "--kind", "poll", "--", name, cwd=tmp_path)

    assert done.returncode == 1
    assert "error[bad_name]" in done.stderr
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path):
    """
    A folder with something in it is left as it is; so is a plugin that is installed.
    """
    (tmp_path / "bond-acme").mkdir()
    (tmp_path / "bond-acme" / "mine.txt").write_text("mine")

    there = bond("plugins", "new", "acme", "--kind", "poll", cwd=tmp_path)
    taken = bond("plugins", "new", "ccxt", "--kind", "poll", cwd=tmp_path)

    assert "error[not_empty]" in there.stderr
    assert "installed already" in taken.stderr
    assert [path.name for path in (tmp_path / "bond-acme").iterdir()] == ["mine.txt"]


# The kit against what is installed


def replaced(kind, path, old, new):
    """Return a package with one mistake in it."""
    files = files_of("acme-fx", kind)
    assert old in files[path]
    return {**files, path: files[path].replace(old, new)}


@pytest.mark.parametrize(
    ("kind", "path", "old", "new", "check"),
    [
        ("poll", "bond_acme_fx/connector.py", 'q["time_ms"] * 1_000_000',
         'q["time_ms"] * 1_000_000 + __import__("time").time_ns() % 1_000',
         "test_it_says_the_same_again"),
        ("poll", "bond_acme_fx/plugin.py", 'doc="Where to ask"', 'doc=""',
         "test_every_setting_is_described"),
        ("websocket", "bond_acme_fx/plugin.py", "from attrs",
         "import bond_acme_fx.connector\nfrom attrs", "test_registering_loads_no_work"),
        ("sdk", "bond_acme_fx/connector.py", "        return client_factory",
         "        print(self.config.key.reveal())\n        return client_factory",
         "test_it_shows_no_secret"),
        ("aggregator", "bond_acme_fx/aggregator.py", "close) / 3", "close) / 0",
         "test_it_says_something"),
        ("sink", "bond_acme_fx/sink.py", '"a"', '"w"', "test_it_adds_to_what_is_there"),
    ],
)  # fmt: skip
def test_the_kit_finds_a_mistake(tmp_path, kind, path, old, new, check):
    """
    `bond plugins test` fails where the plugin is wrong, and names the check.
    """
    lay_out(tmp_path, replaced(kind, path, old, new))

    done = bond("plugins", "test", "acme-fx", env=path_of(tmp_path))

    assert done.returncode == 1, done.stdout
    assert check in done.stdout


def test_what_brings_no_checks_of_its_own_is_tested_by_its_specs():
    """
    Without a `conformance.py`, what needs a recording is skipped and said to be.
    """
    done = bond("plugins", "test", "ccxt")

    assert done.returncode == 0, done.stdout
    assert "no cassette" in done.stdout


def test_what_can_not_be_tested_says_why(tmp_path):
    """
    One that registers nothing, and one that isn't there.
    """
    nothing, absent = bond("plugins", "test", "sim"), bond("plugins", "test", "cctx")

    assert nothing.returncode == absent.returncode == 1
    assert "registers nothing that could be tested" in nothing.stderr
    assert "error[unknown_plugin]" in absent.stderr
