"""`bond keys new|list|revoke`: who may use the server. A running one follows at once."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from bond_core.wire.times import iso
from bond_server.auth.kept import KeptFile
from bond_server.auth.keys import (
    LOCAL_PROJECT,
    SCOPES,
    USUAL_SCOPES,
    ApiKey,
    KeyRecords,
    key_file,
    make_key,
    revoke_key,
)
from bond_server.environment import default_data_dir

NAME = "keys"
HELP = "make, list and revoke API keys"
EXAMPLES = """\
examples:
  bond keys new                                        everything but admin, in the project local
  bond keys new --project desk --label "risk bot" --scopes streams:read,metrics:read
  export EKKO_API_KEY=$(bond keys new)
  bond keys list
  bond keys revoke 1f2e3d4c

Keys are kept as SHA-256 in BOND_DATA_DIR/keys.json. From the first key on, the server asks for
one; it goes on asking when all are revoked."""

_NS = 1_000_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what may be done with keys."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="new | list | revoke ID")
    new = actions.add_parser("new", help="make one, and print it: the only time it can be seen")
    new.add_argument("--project", default=LOCAL_PROJECT, help="whose streams (%(default)s)")
    new.add_argument(
        "--scopes", default=",".join(s for s in SCOPES if s in USUAL_SCOPES),
        help=f"what it may do, with commas between, of {', '.join(SCOPES)} (all but admin)",
    )  # fmt: skip
    new.add_argument("--label", help="what to call it in the list")
    listed = actions.add_parser("list", help="list them, without their texts")
    listed.add_argument("--json", action="store_true", help="print JSON")
    revoke = actions.add_parser("revoke", help="let one count no more")
    revoke.add_argument("key_id", metavar="ID", help="as `bond keys list` shows it")


def run(args: argparse.Namespace) -> int:
    """Do it."""
    file = key_file(Path(os.environ.get("BOND_DATA_DIR") or default_data_dir(os.environ)))
    actions = {"new": _new, "list": _list, "revoke": _revoke}
    return actions[args.action](args, file)


def _new(args: argparse.Namespace, file: KeptFile[KeyRecords]) -> int:
    scopes = [scope.strip() for scope in args.scopes.split(",") if scope.strip()]
    text, key = make_key(
        file, project=args.project, scopes=scopes, label=args.label, now_s=_now_s()
    )
    print(text)
    print(
        f"key {key.key_id} for project {key.project}: {', '.join(_in_order(key))}. It is shown "
        f"this once; {file.path} keeps its SHA-256",
        file=sys.stderr,
    )
    return 0


def _list(args: argparse.Namespace, file: KeptFile[KeyRecords]) -> int:
    keys = sorted(file.read().keys.values(), key=lambda key: (key.created_s or 0, key.key_id))
    if args.json:
        print(json.dumps([_as_json(key) for key in keys], indent=2))
        return 0
    if not keys:
        print("no keys: a server on this machine asks for none. `bond keys new` makes one")
    for key in keys:
        state = "revoked" if key.revoked_s is not None else ",".join(_in_order(key))
        print(f"{key.key_id}  {key.project}  {state}  {key.label or ''}".rstrip())
    return 0


def _revoke(args: argparse.Namespace, file: KeptFile[KeyRecords]) -> int:
    key = revoke_key(file, args.key_id, now_s=_now_s())
    print(f"key {key.key_id} counts no more")
    return 0


def _as_json(key: ApiKey) -> dict[str, object]:
    return {
        "key_id": key.key_id,
        "project": key.project,
        "scopes": _in_order(key),
        "label": key.label,
        "created_at": None if key.created_s is None else iso(key.created_s * _NS),
        "revoked_at": None if key.revoked_s is None else iso(key.revoked_s * _NS),
    }


def _in_order(key: ApiKey) -> list[str]:
    return [scope for scope in SCOPES if scope in key.scopes]


def _now_s() -> int:
    return int(time.time())
