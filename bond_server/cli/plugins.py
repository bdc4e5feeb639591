"""`bond plugins`: what is installed and how it fares, and how a plugin of one's own begins."""

from __future__ import annotations

import argparse
import importlib

NAME = "plugins"
HELP = "what is installed, how it fares, and how to write one"
EXAMPLES = """\
examples:
  bond plugins list                    reads package metadata, imports no plugin
  bond plugins info ccxt               loads that one: what it brings, and how it is set up
  bond plugins doctor                  loads them all; exit status 1 if one can't be used
  bond plugins disable ccxt            leaves it out from now on
  bond plugins new acme --kind poll    writes a package that installs and passes its tests
  bond plugins test acme               runs the conformance kit against what is installed
  bond plugins docs acme               prints its page, made of its specs and settings"""

KINDS = ("poll", "websocket", "sdk", "aggregator", "sink")

_WHERE = {
    "list": "plugins_shown", "info": "plugins_shown", "doctor": "plugins_shown",
    "docs": "plugins_shown", "enable": "plugins_switched", "disable": "plugins_switched",
    "new": "plugins_new", "test": "plugins_tested",
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what may be asked of the plugins."""
    asked = parser.add_subparsers(dest="asked", required=True, metavar="COMMAND")
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print JSON")
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument("name", metavar="NAME", help="as `bond plugins list` shows it")
    asked.add_parser("list", parents=[as_json], help="list what is installed, loading nothing")
    asked.add_parser("info", parents=[named, as_json], help="say what one plugin brings")
    asked.add_parser("doctor", parents=[as_json], help="load them all and say how each fares")
    asked.add_parser("docs", parents=[named], help="print a plugin's page, as Markdown")
    asked.add_parser("enable", parents=[named], help="use it again")
    asked.add_parser("disable", parents=[named], help="leave it out, until it is enabled")
    test = asked.add_parser(
        "test", parents=[named], help="run the conformance kit against an installed plugin"
    )
    test.add_argument("--verbose", "-v", action="store_true", help="name each check")
    new = asked.add_parser("new", help="write a package to begin with")
    new.add_argument("name", metavar="NAME", help="what it is called, such as `acme`")
    new.add_argument("--kind", choices=KINDS, required=True, help="what it is to be")
    new.add_argument("--into", metavar="FOLDER", default=None, help="where to put it (./bond-NAME)")


def run(args: argparse.Namespace) -> int:
    """Answer what was asked."""
    module = importlib.import_module(f"bond_server.cli.{_WHERE[args.asked]}")
    return int(getattr(module, f"{args.asked}_")(args))
