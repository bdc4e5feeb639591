"""`bond webhook test|secret`: try an endpoint before a stream depends on it."""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import logging
import os
import secrets
from typing import Any

from bond_core.clock import SystemClock
from bond_core.errors import NotInstalledError
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.factories import load_class
from bond_core.plugin.specs import SinkSpec
from bond_core.runtime.errand import Errand
from bond_core.runtime.sink_policy import SinkPolicy
from bond_core.settings import Secret, structure
from bond_server.assumed import egress_of

NAME = "webhook"
HELP = "send a test message to a webhook, and make secrets for one"
EXAMPLES = """\
examples:
  export HOOK_SECRET=$(bond webhook secret)
  bond webhook test https://hooks.example.com/bond --secret-env HOOK_SECRET
  BOND_EGRESS_PRIVATE=1 bond webhook test http://127.0.0.1:9000/bond

Without --secret-env or --secret-file the message is signed with a secret made for it, which is
printed. Exit status 0: the endpoint took the message."""

_NO_STREAM = "0" * 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what may be done."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="test URL | secret")
    test = actions.add_parser("test", help="send one signed message of the type webhook.test")
    test.add_argument("url", metavar="URL", help="the endpoint")
    kept = test.add_mutually_exclusive_group()
    kept.add_argument("--secret-env", metavar="NAME", help="the variable that holds the secret")
    kept.add_argument("--secret-file", metavar="PATH", help="the file that holds the secret")
    test.add_argument("--json", action="store_true", help="print JSON")
    actions.add_parser("secret", help="print a new secret, 256 random bits")


def run(args: argparse.Namespace) -> int:
    """Do it."""
    if args.action == "secret":
        print(_new_secret())
        return 0
    spec = Catalog.installed().sink("webhook")
    if spec is None:
        raise NotInstalledError("no installed plugin provides the sink webhook: bond-webhook does")
    attempt = asyncio.run(_test(spec, args.url, _secret(args)))
    is_taken = 200 <= (attempt["status"] or 0) < 300
    if args.json:
        print(json.dumps(attempt))
    else:
        said = f": {attempt['answer']}" if attempt.get("answer") else ""
        verdict = "took" if is_taken else "did not take"
        print(f"{attempt['id']} answered {attempt['status']} in {attempt['took_ms']} ms{said}")
        print(f"the endpoint {verdict} the message")
    return 0 if is_taken else 1


def _secret(args: argparse.Namespace) -> object:
    if args.secret_env is not None:
        return {"$env": args.secret_env}
    if args.secret_file is not None:
        return {"$file": args.secret_file}
    made = _new_secret()
    if not args.json:
        print(f"signed with {made}, made for this message")
    return Secret(made)


async def _test(spec: SinkSpec, url: str, secret: object) -> dict[str, Any]:
    config: Any = structure(spec.config, {"url": url, "secret": secret})
    log = logging.getLogger("bond.sink.webhook")
    ctx = Errand(
        stream_id=_NO_STREAM, sink_name=NAME, clock=SystemClock(), log=log,
        egress=egress_of(os.environ), policy=SinkPolicy(),
    )  # fmt: skip
    made = load_class(spec.factory)(config=config)
    return dict(await made.test(ctx))


def _new_secret() -> str:
    # Standard Webhooks 1.0.0: whsec_ and the base64 of 24 to 64 random bytes.
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
