"""Plugins with one fault each, and the check of the conformance kit that finds it.

A mutant is the plugin in `bond_twin` with one passage replaced. Where a fault can't but be
found by a second check too, that one stands in `also`, and why.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class Mutant:
    """A fault.

    Attributes:
        n: The number of the check that finds it; None of one beside the numbered.
        check: Its method.
        suite: The class of `conformance.py` that is run.
        file: Where the fault is.
        old: The passage that is replaced.
        new: What by.
        also: Other checks that find it.
        why: Why they can't but.
    """

    n: int | None
    check: str
    suite: str
    file: str
    old: str
    new: str
    also: tuple[str, ...] = ()
    why: str = ""


COUNTED = 'name="twin.file"'
END_OF_CONFIG = '    legacy: bool = setting(default=False, doc="As it was before")\n'
OPENS = 'async with ctx.ws("wss://stream.twin.example") as ws:'
WANTED = "        wanted = await ctx.wanted.changed(frozenset())\n"
SINK_WRITES = """        await asyncio.to_thread(self.append, lines)

    def append(self, lines):
        with self.path.open("a", encoding="utf-8") as file:
            file.write(lines)

    async def close(self):
        pass
"""
RAW_RUN = """        async with ctx.ws("wss://stream.twin.example") as ws:
            await ws.send_json({"subscribe": sorted(s.symbol for s in wanted)})
            async for frame in frames(ws):
                self.take(frame, ctx)
"""


def _checked(text: str) -> str:
    """Return a check after the settings were read."""
    return f"{END_OF_CONFIG}\n    def __attrs_post_init__(self):\n        {text}\n"


def _around(before: str, after: str) -> str:
    """Return the loop of `raw.py` inside something else."""
    indented = "".join(f"    {line}\n" for line in RAW_RUN.splitlines())
    return f"{before}{indented}{after}"


REGISTRATION = [
    Mutant(1, "test_the_plugin_loads", "TestPush", "plugin.py", COUNTED, 'name="file"'),
    Mutant(1, "test_the_plugin_loads", "TestPush", "plugin.py",
           "def bond_sinks", "def bond_sink"),
    Mutant(2, "test_registering_loads_no_work", "TestPush", "plugin.py",
           "\n\n@frozen\nclass FileConfig",
           "\nimport bond_twin.push\n\n\n@frozen\nclass FileConfig"),
    Mutant(2, "test_registering_loads_no_work", "TestPush", "plugin.py", "\n\n@frozen\nclass Twin",
           "\nimport threading, time\nthreading.Thread(target=time.sleep, args=(0.2,)).start()\n"
           "\n\n@frozen\nclass Twin"),
    Mutant(2, "test_registering_loads_no_work", "TestPush", "plugin.py", "\n\n@frozen\nclass Twin",
           "\nimport socket\nsocket.socket().close()\n\n\n@frozen\nclass Twin"),
    Mutant(2, "test_registering_loads_no_work", "TestPush", "plugin.py", "\n\n@frozen\nclass Twin",
           "\nsum(n * n for n in range(4_000_000))\n\n\n@frozen\nclass Twin"),
    Mutant(3, "test_every_setting_is_described", "TestPush", "plugin.py",
           'doc="As it was before"', 'doc=""'),
    Mutant(4, "test_credentials_are_secrets", "TestPush", "plugin.py", END_OF_CONFIG,
           f'{END_OF_CONFIG}    access_token: str = setting(default="", doc="Another")\n'),
    Mutant(5, "test_bad_settings_are_refused", "TestPush", "plugin.py", "ge=0.5, ", ""),
    Mutant(5, "test_bad_settings_are_refused", "TestPush", "plugin.py",
           f'le=100, example=2.0, doc="Between two polls")\n'
           f'    depth: str = setting(default="full", choices=("full", "brief"), '
           f'doc="How much of it")\n{END_OF_CONFIG}',
           'example=2.0, doc="Between two polls")\n'
           '    depth: str = setting(default="full", choices=("full", "brief"), '
           'doc="How much of it")\n'
           + _checked('if self.every_s > 100: raise ValueError("that is slow")')),
    Mutant(5, "test_bad_settings_are_refused", "TestPush", "plugin.py", END_OF_CONFIG,
           _checked("import bond_twin.push")),
    Mutant(6, "test_what_the_schema_says_is_so", "TestPush", "plugin.py",
           "example=2.0", "example=0.2"),
    Mutant(6, "test_what_the_schema_says_is_so", "TestPush", "plugin.py", END_OF_CONFIG,
           _checked('if self.depth == "brief": raise ValueError("not yet")')),
    Mutant(7, "test_settings_of_the_last_release_still_work", "TestPush", "plugin.py",
           END_OF_CONFIG, ""),
    Mutant(7, "test_settings_of_the_last_release_still_work", "TestPush", "plugin.py",
           "le=100", "le=50"),
    Mutant(7, "test_settings_of_the_last_release_still_work", "TestPush", "plugin.py",
           '("full", "brief")', '("full", "short")'),
]  # fmt: skip

EVENTS = [
    Mutant(8, "test_only_what_is_declared_comes", "TestRaw", "raw.py",
           '        ctx.emit("trades", trades)\n',
           '        ctx.emit("trades", trades)\n        ctx.emit("fills", trades)\n'),
    Mutant(8, "test_only_what_is_declared_comes", "TestPoll", "poll.py",
           'return [quote(q) for q in reply["quotes"]]',
           'found = [quote(q) for q in reply["quotes"]]\n'
           "        more = [Trade(q.symbol, q.ts, q.bid, 1.0) for q in found]\n"
           "        return [*found, *more]\n\n\nfrom bond_core.plugin import Trade"),
    Mutant(9, "test_its_events_make_sense", "TestPush", "push.py",
           "            yield trade(m)\n",
           '            yield trade(m)\n            yield trade(m | {"symbol": "BTCUSDT"})\n'),
    Mutant(9, "test_its_events_make_sense", "TestPush", "push.py",
           "            yield trade(m)\n",
           "            yield trade(m)\n"
           '            yield trade(m | {"size": float("nan"), "id": None})\n'),
    Mutant(10, "test_it_says_the_same_again", "TestPush", "push.py",
           'id=m["id"])', 'id=m["id"], seq=time.time_ns())\n\n\nimport time'),
    Mutant(11, "test_times_keep_within_the_lateness_declared", "TestPush", "plugin.py",
           "lateness_s=0.5", "lateness_s=0.1"),
    Mutant(12, "test_an_id_means_one_event", "TestPush", "push.py", 'id=m["id"])', 'id="7")'),
    Mutant(12, "test_an_id_means_one_event", "TestPush", "push.py",
           "            yield trade(m)\n",
           '            self.n = getattr(self, "n", 0) + 1\n'
           '            yield trade(m | {"id": f"fresh-{self.n}"})\n'),
    Mutant(13, "test_prices_are_as_the_source_gave_them", "TestPush", "push.py",
           'float(m["price"])', 'round(float(m["price"]), 2)'),
]  # fmt: skip

FAULTS = [
    Mutant(14, "test_it_comes_back_after_a_drop", "TestRaw", "raw.py", RAW_RUN,
           _around("        try:\n",
                   "        except Retryable as error:\n"
                   "            if 'dropped' not in error.detail: raise\n"
                   "            await ctx.clock.sleep(86_400)\n")),
    Mutant(15, "test_it_does_not_storm_a_source_that_is_away", "TestRaw", "raw.py", RAW_RUN,
           _around("        for n in range(20):\n          try:\n",
                   "          except Retryable as error:\n"
                   "            if 'reached' not in error.detail or n == 19: raise\n")),
    Mutant(16, "test_it_heeds_retry_after", "TestRaw", "raw.py", RAW_RUN,
           _around("        try:\n",
                   "        except Retryable as error:\n"
                   "            raise Retryable(error.detail) from error\n")),
    Mutant(17, "test_a_refused_key_is_fatal", "TestRaw", "raw.py", RAW_RUN,
           _around("        try:\n",
                   "        except Fatal as error:\n"
                   "            raise Retryable(error.detail) from error\n")),
    Mutant(17, "test_a_refused_key_is_fatal", "TestPush", "push.py",
           'raise Fatal("the key is refused")', "return"),
    Mutant(17, "test_a_refused_key_is_fatal", "TestLib", "lib.py",
           "return client_factory(key=self.config.key.reveal())",
           "try:\n            return client_factory(key=self.config.key.reveal())\n"
           "        except Exception as error:\n"
           '            raise ConnectionError("no connection") from error'),
    Mutant(18, "test_nonsense_is_counted_and_survived", "TestRaw", "raw.py",
           "(ValueError, TypeError, LookupError)", "(ValueError, TypeError)"),
    Mutant(18, "test_nonsense_is_counted_and_survived", "TestRaw", "raw.py",
           "            return\n",
           '            raise Retryable("it speaks in tongues") from None\n'),
    Mutant(18, "test_nonsense_is_counted_and_survived", "TestPoll", "poll.py",
           'if "error" in reply and', 'if reply.get("error") and'),
    Mutant(19, "test_it_resumes_after_what_it_heard", "TestPush", "push.py",
           '{s.symbol: ctx.cursor("trades", s.symbol) for s in added}',
           "{s.symbol: None for s in added}"),
    Mutant(20, "test_silence_is_not_taken_for_life", "TestPush", "push.py",
           '    channel = "trades"\n',
           '    channel = "trades"\n    keepalive_every_s = 5.0\n\n'
           "    async def keepalive(self, ws, ctx):\n"
           '        ctx.heartbeat("trades")\n'),
]  # fmt: skip

PACE = [
    Mutant(21, "test_a_burst_is_taken_whole", "TestRaw", "raw.py",
           "            async for frame in frames(ws):\n",
           "            n = 0\n            async for frame in frames(ws):\n"
           "                n += 1\n"
           "                if n > 500: continue\n"),
    Mutant(22, "test_it_keeps_to_what_the_source_allows", "TestPoll", "poll.py",
           '        reply = await ctx.get_json(self.url, params=asked, headers={"X-Key": key})\n',
           "        for symbol in symbols:\n"
           '            asked = {"symbol": symbol}\n'
           "            reply = await ctx.get_json(self.url, params=asked)\n"),
    Mutant(22, "test_it_keeps_to_what_the_source_allows", "TestPoll", "poll.py",
           "        super().__init__(config)\n",
           "        super().__init__(config)\n        self.every_s = 0.25\n"),
    Mutant(23, "test_a_clock_that_is_set_stalls_nothing", "TestPoll", "poll.py",
           "    async def poll(",
           "    async def run(self, ctx):\n"
           "        while True:\n"
           "            due_ns = ctx.clock.now_ns() + round(self.every_s * 1_000_000_000)\n"
           "            await self.once(ctx)\n"
           "            await ctx.clock.sleep_until(due_ns)\n\n"
           "    async def once(self, ctx):\n"
           "        symbols = sorted(s.symbol for s in ctx.wanted.current())\n"
           "        try:\n"
           '            quotes = await self.poll(ctx, "quotes", symbols)\n'
           "        except (ValueError, TypeError, LookupError):\n"
           '            return ctx.reject("an answer could not be read")\n'
           '        ctx.live("quotes")\n'
           '        ctx.emit("quotes", quotes)\n'
           '        ctx.heartbeat("quotes")\n\n'
           "    async def poll("),
    Mutant(24, "test_an_empty_answer_is_no_error", "TestPoll", "poll.py",
           'return [quote(q) for q in reply["quotes"]]',
           'newest = max(reply["quotes"], key=lambda q: q["ms"])\n        return [quote(newest)]'),
]  # fmt: skip

LIFECYCLE = [
    Mutant(25, "test_it_ends_when_told_to", "TestRaw", "raw.py", RAW_RUN,
           _around("        try:\n", "        except asyncio.CancelledError:\n"
                                     "            return\n")),
    Mutant(26, "test_it_leaves_nothing_behind", "TestRaw", "raw.py", WANTED,
           WANTED + "        KEPT.append(open(__file__))\n"),
    Mutant(26, "test_it_leaves_nothing_behind", "TestRaw", "raw.py", WANTED,
           WANTED + "        KEPT.append(asyncio.create_task(ctx.clock.sleep(86_400)))\n",
           also=("test_it_may_be_cancelled_anywhere",),
           why="a task that is left is left wherever it is cancelled"),
    Mutant(26, "test_it_leaves_nothing_behind", "TestRaw", "raw.py", WANTED,
           WANTED + "        asyncio.sleep(0)\n"),
    Mutant(27, "test_it_may_be_cancelled_anywhere", "TestRaw", "raw.py", RAW_RUN,
           '        manager = ctx.ws("wss://stream.twin.example")\n'
           "        ws = await manager.__aenter__()\n"
           '        await ws.send_json({"subscribe": sorted(s.symbol for s in wanted)})\n'
           "        try:\n"
           "            async for frame in frames(ws):\n"
           "                self.take(frame, ctx)\n"
           "        finally:\n"
           "            await manager.__aexit__(None, None, None)\n"),
    Mutant(28, "test_no_generator_waits_for_its_reader_in_a_task_group", "TestRaw", "raw.py",
           "    async for frame in ws:\n        yield frame\n",
           "    async with asyncio.timeout(None):\n"
           "        async for frame in ws:\n            yield frame\n"),
    Mutant(29, "test_two_of_it_share_nothing", "TestRaw", "raw.py",
           "            async for frame in frames(ws):\n",
           "            type(self).ws = ws\n"
           "            while frame := await type(self).ws.recv():\n"),
    Mutant(30, "test_it_is_built_for_nothing_and_started_twice", "TestRaw", "raw.py",
           "        self.config = config\n",
           "        self.config = config\n"
           "        self.done = threading.Event()\n"
           "        threading.Thread(target=self.done.wait, args=(3,), daemon=True).start()\n"
           "\n"
           "    def __del__(self):\n"
           "        self.done.set()\n",
           also=("test_it_leaves_nothing_behind",),
           why="a thread that is begun with the object is not ended with the run"),
    Mutant(30, "test_it_is_built_for_nothing_and_started_twice", "TestRaw", "raw.py", RAW_RUN,
           _around("        try:\n",
                   "        except asyncio.CancelledError:\n"
                   "            self.take = lambda frame, ctx: None\n            raise\n")),
    Mutant(31, "test_it_never_blocks_the_loop", "TestRaw", "raw.py",
           '        ctx.live("trades")\n',
           '        if trades and trades[0].id == "9" and not hasattr(self, "n"):\n'
           "            self.n = 1\n            time.sleep(0.06)\n"
           '        ctx.live("trades")\n'),
    Mutant(32, "test_its_health_is_told", "TestRaw", "raw.py", WANTED,
           WANTED + '        ctx.live("trades")\n'),
    Mutant(33, "test_it_shows_no_secret", "TestPush", "push.py",
           '        await ws.send_json({"login"',
           '        print(self.config.key.reveal())\n        await ws.send_json({"login"'),
    Mutant(33, "test_it_shows_no_secret", "TestPush", "push.py",
           '        await ws.send_json({"login"',
           '        logging.getLogger("twin").debug("key %s", self.config.key.reveal())\n'
           '        await ws.send_json({"login"'),
    Mutant(33, "test_it_shows_no_secret", "TestPush", "push.py",
           "            yield trade(m)\n",
           "            one = trade(m)\n            one.venue = self.config.key.reveal()\n"
           "            yield one\n"),
    Mutant(33, "test_it_shows_no_secret", "TestFile", "file.py",
           "        await asyncio.to_thread(self.path.touch)\n",
           "        await asyncio.to_thread(self.path.touch)\n        print(self.key.reveal())\n"),
    Mutant(34, "test_its_recording_holds_no_secret", "TestPush", "conformance.py",
           '\'{"type": "hello"}\'', '\'{"type": "hello", "session": "canary-8f2e"}\''),
    Mutant(34, "test_its_recording_holds_no_secret", "TestPush", "conformance.py",
           '\'{"type": "hello"}\'', '\'{"type": "hello", "next": "wss://x.example/?token=abcdef"}\''),
    Mutant(34, "test_its_recording_holds_no_secret", "TestPush", "conformance.py",
           '\'{"type": "hello"}\'', '\'{"type": "hello", "Authorization": "Basic dXNlcg"}\''),
]  # fmt: skip

AGGREGATORS = [
    Mutant(35, "test_windows_share_nothing", "TestFields", "fields.py",
           '"n": Count()}, mean)',
           '"n": Count()}, lambda total, n, known={}: known.setdefault(n, mean(total, n)))'),
    Mutant(36, "test_a_window_without_events_is_no_error", "TestFields", "fields.py",
           "total / n if n else None", "total / n"),
    Mutant(37, "test_reading_a_window_changes_nothing", "TestFields", "fields.py",
           "    return prices[len(prices) // 2]\n",
           "    middle = prices[len(prices) // 2]\n"
           "    if len(prices) == 4: prices.pop()\n    return middle\n"),
    Mutant(37, "test_reading_a_window_changes_nothing", "TestFields", "fields.py",
           "    return sorted([*earlier, *later])\n",
           "    earlier.extend(later)\n    earlier.sort()\n    return earlier\n"),
    Mutant(38, "test_split_or_whole_it_computes_the_same", "TestFields", "fields.py",
           "return sorted([*earlier, *later])", "return [*earlier, *later]"),
    Mutant(39, "test_order_of_arrival_does_not_matter", "TestFields", "fields.py",
           '"high": event.price, "n": 1})',
           '"high": event.price, "n": 1}) if state["n"] < 3 else state'),
    Mutant(39, "test_its_state_can_be_kept", "TestFields", "fields.py",
           'Reduce(["price"], sorted, merged, median)',
           'Reduce(["price"], set, set.union, lambda prices: median(sorted(prices)))'),
    Mutant(None, "test_it_has_a_plan_for_each_field", "TestFields", "fields.py",
           "return prices[len(prices) // 2]", "return prices[len(prices)]"),
    Mutant(None, "test_it_says_something", "TestFields", "fields.py",
           '        return {\n            "twin_mean"',
           '        nothing = Metric({"n": Count()}, lambda n: None)\n'
           '        names = ("twin_mean", "twin_median", "twin_last", "twin_range")\n'
           '        return dict.fromkeys(names, nothing) or {\n            "twin_mean"'),
]  # fmt: skip

SINKS = [
    Mutant(40, "test_it_writes_every_record", "TestFile", "file.py",
           "for record in batch)", "for record in batch[:2])"),
    Mutant(40, "test_it_writes_every_record", "TestFile", "file.py",
           "json.dumps(record)", 'json.dumps(record | {"of": record["symbol"]})'),
    Mutant(40, "test_it_adds_to_what_is_there", "TestFile", "file.py",
           "asyncio.to_thread(self.path.touch)", 'asyncio.to_thread(self.path.write_text, "")',
           also=("test_what_it_acknowledged_is_there",),
           why="who repeats a batch opens it again"),
    Mutant(40, "test_it_adds_to_what_is_there", "TestFile", "file.py", SINK_WRITES,
           "        whole = self.path.with_suffix('.whole')\n"
           "        if whole.exists() and not hasattr(self, 'begun'):\n"
           "            self.path.write_text('')\n"
           "        self.begun = True\n"
           + SINK_WRITES.replace("pass", "self.path.with_suffix('.whole').touch()")),
    Mutant(41, "test_it_may_be_closed_at_any_time", "TestFile", "file.py",
           "        pass\n", "        self.path.stat()\n"),
    Mutant(42, "test_a_write_that_fails_raises", "TestFile", "file.py",
           "        await asyncio.to_thread(self.append, lines)\n",
           "        try:\n            await asyncio.to_thread(self.append, lines)\n"
           "        except OSError:\n            pass\n"),
    Mutant(42, "test_a_write_that_fails_raises", "TestFile", "file.py",
           "        lines =",
           '        known = self.__dict__.setdefault("known", set())\n'
           '        batch = [record for record in batch if record["id"] not in known]\n'
           '        known |= {record["id"] for record in batch}\n        lines ='),
    Mutant(42, "test_a_write_that_fails_raises", "TestHook", "hook.py",
           "reply.status >= 300", "reply.status == 410"),
    Mutant(42, "test_a_write_that_fails_raises", "TestHook", "hook.py",
           "reply = await ctx.post(self.url, body)",
           "try:\n            reply = await ctx.post(self.url, body)\n"
           "        except Retryable:\n            return"),
    Mutant(43, "test_what_it_acknowledged_is_there", "TestFile", "file.py",
           SINK_WRITES,
           '        self.kept = getattr(self, "kept", "") + lines\n\n'
           "    async def close(self):\n"
           '        with self.path.open("a") as file:\n'
           '            file.write(self.__dict__.pop("kept", ""))\n'),
    Mutant(44, "test_two_of_it_do_not_mix_their_writes", "TestFile", "file.py",
           "        await asyncio.to_thread(self.append, lines)\n",
           "        there = self.path.read_text()\n        await asyncio.sleep(0)\n"
           '        new = self.path.with_suffix(".new")\n'
           "        new.write_text(there + lines)\n        new.replace(self.path)\n"),
]  # fmt: skip

MUTANTS = [*REGISTRATION, *EVENTS, *FAULTS, *PACE, *LIFECYCLE, *AGGREGATORS, *SINKS]
