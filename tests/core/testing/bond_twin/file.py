"""Append records to a file, as JSON lines."""

import asyncio
import json
from pathlib import Path


class File:
    def __init__(self, config):
        self.path = Path(config.path)
        self.key = config.key

    async def open(self, ctx):
        await asyncio.to_thread(self.path.touch)

    async def write(self, batch, ctx):
        lines = "".join(json.dumps(record) + "\n" for record in batch)
        await asyncio.to_thread(self.append, lines)

    def append(self, lines):
        with self.path.open("a", encoding="utf-8") as file:
            file.write(lines)

    async def close(self):
        pass
