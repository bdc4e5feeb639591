"""Loading ccxt takes seconds and 110 MB, and calling it has its price: when that is paid."""

from __future__ import annotations

import asyncio
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
        "import asyncio, importlib, time\n"
        "from types import SimpleNamespace\n"
        "from bond_ccxt.config import CcxtConfig\n"
        "from bond_ccxt.exchange import open_session\n"
        "from bond_core.clock import SystemClock\n"
        "here = 'http://127.0.0.1:9'\n"
        "ctx = SimpleNamespace(simulated_at=here, sdk=importlib.import_module, "
        "clock=SystemClock())\n"
        "async def go():\n"
        "    worst = [0.0]\n"
        "    async def tick():\n"
        "        while True:\n"
        "            started = time.monotonic()\n"
        "            await asyncio.sleep(0.01)\n"
        "            worst[0] = max(worst[0], time.monotonic() - started)\n"
        "    ticking = asyncio.create_task(tick())\n"
        "    started = time.monotonic()\n"
        "    session = await open_session(CcxtConfig('okx'), ctx)\n"
        "    took = time.monotonic() - started\n"
        "    ticking.cancel()\n"
        "    await session.close()\n"
        "    print(worst[0] / took)\n"
        "asyncio.run(go())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert float(done.stdout) < 0.5


def test_frames_do_not_wake_the_one_who_watches(kit, monkeypatch):
    """
    Ccxt is told once to watch, however many frames arrive: each call costs as much as ten trades.
    """
    import ccxt.pro

    real, calls = ccxt.pro.okx.watch_trades_for_symbols, []

    async def counted(self, symbols, *rest):
        calls.append(symbols)
        return await real(self, symbols, *rest)

    monkeypatch.setattr(ccxt.pro.okx, "watch_trades_for_symbols", counted)

    async def go():
        async with kit.Venue() as there:
            connector = kit.connect("okx", there, [kit.market("BTC-USDT", "BTC/USDT")])
            ctx = kit.Context([kit.Want("trades", "BTC/USDT")])
            async with kit.running(connector, ctx):
                await there.until_heard(1)
                for n in range(20):
                    row = {"instId": "BTC-USDT", "tradeId": str(n), "px": "1", "sz": "1",
                           "side": "buy", "ts": "1786538760218"}  # fmt: skip
                    arg = {"channel": "trades", "instId": "BTC-USDT"}
                    await there.say({"arg": arg, "data": [row]})
                    await ctx.until(lambda n=n: len(ctx.events("trades")) > n)

    asyncio.run(go())
    assert calls == [["BTC/USDT"]]
