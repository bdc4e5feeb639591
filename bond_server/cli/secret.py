"""`bond secret new`: print a good secret."""

from __future__ import annotations

import argparse

from bond_server.auth.secret import new_secret

NAME = "secret"
HELP = "make the secret that tokens are signed with"
EXAMPLES = """\
examples:
  bond secret new
  export BOND_SECRET=$(bond secret new)
  echo "BOND_SECRET=$(bond secret new)" >> .env

To change it without cutting anybody off, put the old one into BOND_SECRET_PREVIOUS."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the one thing it does."""
    parser.add_argument("action", choices=["new"], help="print a new one, 256 random bits")


def run(args: argparse.Namespace) -> int:  # noqa: ARG001 -- there is one action
    """Print it."""
    print(new_secret())
    return 0
