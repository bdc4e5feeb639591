"""Run what there is to run from a checkout: `pip install nox`, then `nox -s NAME`.

demo    the whole way on this machine: simulated venues, real connectors, a live table
tests   all tests of the core, the server, the plugins and the SDK
faults  the long tests of faults: processes killed, stopped and replaced, over and over
soak    half an hour of clients that come and go, and faults: does it grow?
lint    ruff, strict mypy, and who may import whom
bench   a benchmark by name, or all: `nox -s bench -- start --json figures.jsonl`
docs    the documentation as HTML in build/docs; a broken link fails it

What stands after `--` goes to the program that the session runs.
"""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["tests", "lint"]  # a demo runs until it is stopped

ROOT = Path(__file__).parent
PINNED = ("-c", "constraints.txt")
SDK = "./sdk/python"
BENCH_PEERS = ("bytewax", "nautilus_trader")
DEMO_PLUGINS = ("./plugins/bond-ccxt", "./plugins/bond-sim")
UNHURRIED = ("-o", "faulthandler_timeout=3600")  # these tests take longer than one that hangs
ALL_PLUGINS = tuple(
    f"./{found.parent.relative_to(ROOT).as_posix()}"
    for found in sorted(ROOT.glob("plugins/*/pyproject.toml"))
)


@nox.session
def demo(session: nox.Session) -> None:
    """Show a live stream: no key, no network once installed. `-- --for 20s` ends it."""
    session.install(*PINNED, ".[server]", *DEMO_PLUGINS, SDK)
    session.run("bond", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run pytest; `-- -k watermark` and the like go to it."""
    install_editable(session, ".[server,test]")
    session.run("pytest", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Repeat each long fault 20 times, or as often as BOND_FAULT_ROUNDS says."""
    install_editable(session, ".[server,test]")
    rounds = os.environ.get("BOND_FAULT_ROUNDS", "20")
    session.run(
        "pytest",
        *UNHURRIED,
        "-m",
        "faults",
        "-s",
        *session.posargs,
        env={"BOND_FAULT_ROUNDS": rounds},
    )


@nox.session
def soak(session: nox.Session) -> None:
    """Soak for 30 minutes, or for as many as BOND_SOAK_MINUTES says."""
    install_editable(session, ".[server,test]")
    minutes = os.environ.get("BOND_SOAK_MINUTES", "30")
    session.run(
        "pytest",
        *UNHURRIED,
        "-m",
        "soak",
        "-s",
        *session.posargs,
        env={"BOND_SOAK_MINUTES": minutes},
    )


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types and imports. `ruff check --fix` and `ruff format` mend the first."""
    install_editable(session, ".[server,otel,lint]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("lint-imports", "--no-logo", "--no-cache")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure, against something else in the same run, and say whether the goal is met."""
    session.install(*PINNED, ".[server,test,bench]", *ALL_PLUGINS, SDK)
    # Others to measure against: one that can't be had for this Python is reported as absent.
    for peer in BENCH_PEERS:
        session.run_install("python", "-m", "pip", "install", *PINNED, peer, success_codes=[0, 1])
    cryptofeed = python_with_cryptofeed(session)
    session.run(
        "python", "-m", "tests.benchmarks", *session.posargs,
        env={"BOND_CRYPTOFEED_PYTHON": cryptofeed},
    )  # fmt: skip


def python_with_cryptofeed(session: nox.Session) -> str:
    """Return a Python of its own for cryptofeed, which can't share an environment with ccxt."""
    folder = Path(session.create_tmp()) / "cryptofeed"
    python = str(folder / "bin" / "python")
    session.run_install("python", "-m", "venv", str(folder))
    session.run_install(
        python, "-m", "pip", "install", "cryptofeed==2.4.1", external=True, success_codes=[0, 1]
    )
    return python


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, and fail on a link that leads nowhere."""
    session.install(*PINNED, ".[docs]")
    session.run(
        "sphinx-build", "-W", "--keep-going", "--fresh-env", "-b", "html", "docs", "build/docs"
    )


def install_editable(session: nox.Session, core: str) -> None:
    """Install the checkout in place: entry points as in real use, and the sources themselves."""
    projects = (core, *ALL_PLUGINS, SDK)
    session.install(*PINNED, *(word for project in projects for word in ("-e", project)))
