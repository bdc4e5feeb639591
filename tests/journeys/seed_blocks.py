"""Take the code blocks out of the first drafts of the documentation, for a test to run."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

FOLDER = Path(__file__).parents[3] / "shared" / "seeds"
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# The second draft lost its fences: what begins like this is code, and prose doesn't.
_CODE = re.compile(
    r"#|from \w+ import|import |async |await |asyncio\.|client|git |cd |docker |pip |openssl"
    r"|export |[A-Z_]+=|[{}]|\"|ws_url|expiry|if |new_token|response| {2,}[\w\"#]"
)


@attrs.frozen
class Block:
    """A code block.

    Attributes:
        name: Which draft, and the line it begins in: `001:73`.
        kind: `python`, `json`, `bash`, or empty.
        text: What stands in it.
    """

    name: str
    kind: str
    text: str


def blocks_of(draft: str) -> list[Block]:
    """Return the blocks of the draft whose file begins with this number; none without the file."""
    for path in FOLDER.glob(f"{draft}_*.txt"):
        text = path.read_text(encoding="utf-8")
        return _fenced(draft, text) if "```" in text else _bare(draft, text)
    return []


def _fenced(draft: str, text: str) -> list[Block]:
    return [
        Block(f"{draft}:{text.count(chr(10), 0, found.start()) + 2}", found[1], found[2])
        for found in _FENCED.finditer(text)
    ]


def _bare(draft: str, text: str) -> list[Block]:
    """Join neighbouring paragraphs of code to blocks."""
    blocks: list[Block] = []
    line, in_code = 1, False
    for paragraph in text.split("\n\n"):
        is_code = _CODE.match(paragraph.lstrip("\n")) is not None
        if is_code and in_code:
            blocks[-1] = attrs.evolve(blocks[-1], text=f"{blocks[-1].text}\n\n{paragraph}")
        elif is_code:
            blocks.append(Block(f"{draft}:{line}", "", paragraph))
        line, in_code = line + paragraph.count("\n") + 2, is_code
    return [attrs.evolve(block, kind=_kind(block.text)) for block in blocks]


def _kind(text: str) -> str:
    if text.lstrip().startswith("{"):
        return "json"
    if re.search(r"^(from|import|async|response|expiry)\b", text, re.MULTILINE):
        return "python"
    return "" if "{expiry_timestamp}" in text or text.startswith('"') else "bash"
