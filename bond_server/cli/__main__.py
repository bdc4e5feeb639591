"""Run `python -m bond_server.cli` as `bond`."""

import sys

from bond_server.cli import main

sys.exit(main())
