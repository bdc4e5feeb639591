"""Loading ccxt takes seconds and 110 MB: when it happens, and what goes on meanwhile."""

from __future__ import annotations

import subprocess
import sys


def test_ccxt_is_loaded_when_a_connector_runs():
    """
    Importing plugin and connector modules loads no ccxt: it takes seconds.
    """
    code = (
        "import sys, bond_ccxt.plugin, bond_ccxt.connector, bond_ccxt.ticker;"
        "print([m for m in sys.modules if m.split('.')[0] in ('ccxt', 'aiohttp')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_the_loop_runs_on_while_ccxt_loads():
    """
    The first start loads ccxt beside the event loop, which keeps turning.
    """
    code = (
        "import asyncio, time\n"
        "from bond_ccxt.config import CcxtConfig\n"
        "from bond_ccxt.exchange import open_session\n"
        "async def go():\n"
        "    worst = [0.0]\n"
        "    async def tick():\n"
        "        while True:\n"
        "            started = time.monotonic()\n"
        "            await asyncio.sleep(0.01)\n"
        "            worst[0] = max(worst[0], time.monotonic() - started)\n"
        "    ticking = asyncio.create_task(tick())\n"
        "    started = time.monotonic()\n"
        "    session = await open_session(CcxtConfig('okx'), 'http://127.0.0.1:9')\n"
        "    took = time.monotonic() - started\n"
        "    ticking.cancel()\n"
        "    await session.close()\n"
        "    print(worst[0] / took)\n"
        "asyncio.run(go())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert float(done.stdout) < 0.5
