"""What every test may rely on: no settings of the developer's own, and where recordings are."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

RECORDINGS = "BOND_RECORDINGS"
OF_LONG_TESTS = ("BOND_FAULT_ROUNDS", "BOND_FAULT_SEED", "BOND_SOAK_MINUTES")
"""How long they take, which nox hands them, and what chance begins with."""
ROOT = Path(__file__).parent.parent

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("bond", deadline=None)
settings.load_profile("bond")

for name in [name for name in os.environ if name.startswith(("BOND_", "EKKO_", "DEEPSEEK_"))]:
    if name not in (RECORDINGS, *OF_LONG_TESTS):
        del os.environ[name]

# A shell that runs something in the background has it ignore Ctrl-C, and so all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take a file of cases of the language: see tests/language/test_cases.py."""
    parser.addoption("--cases", metavar="FILE", help="sentences with what they must become")


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Return the folder of recorded exchange traffic; skip, saying so, where there is none."""
    folder = Path(os.environ.get(RECORDINGS, ROOT.parent / "shared" / "data" / "recordings"))
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder}: set {RECORDINGS} to the folder that holds them")
    return folder
