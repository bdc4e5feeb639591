"""Show what was understood of a sentence: as text for people, as JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from bond_server.language.compile import Understanding
from bond_server.language.problem_text import printable
from bond_server.language.tokens import Token

_WIDTH = 96

Paint = Callable[[str, str], str]
"""Returns a text as it is shown for a role."""


def render(
    understanding: Understanding, *, needs: Sequence[str] = (), spec_id: str | None = None,
    cost: str = "", paint: Paint = lambda text, _: text,
) -> str:  # fmt: skip
    """Return what `bond explain` prints: the sentence with its roles, and what follows from it.

    Args:
        understanding: What was understood.
        needs: What the stream would need that isn't there, one line each (`X_BEARER for ...`).
        spec_id: The stream's id, where it is known.
        cost: What it asks of its sources, where it can run.
        paint: Colours a text by the role of its word; a terminal's may.
    """
    corrected = ", ".join(f"{c.written} -> {c.meant}" for c in understanding.corrected)
    notes = [w for w in understanding.warnings if w.code != "corrected"]
    lines = list(_rows(understanding.tokens, paint))
    for label, texts in (
        ("understood", [understanding.sentence]),
        ("assumed", ["   ".join(understanding.assumed)]),
        ("corrected", [corrected]),
        ("filler", [", ".join(dict.fromkeys(understanding.filler))]),
        ("note", [w.detail for w in notes]),
        ("needs", needs),
        ("cost", [cost]),
        ("spec id", [f"{spec_id}   (same spec = same id)" if spec_id else ""]),
    ):
        lines += [f"{label:<12}{text}" for text in texts if text]
    return "\n".join(lines)


def as_json(understanding: Understanding) -> dict[str, object]:
    """Return what `POST /v1/explain` answers of the sentence itself."""
    return {
        "text": understanding.text,
        "sentence": understanding.sentence,
        "spec": dict(understanding.spec),
        "words": list(understanding.words),
        "tokens": [
            {"span": list(t.span), "text": t.text, "role": t.role, "meaning": t.meaning}
            for t in understanding.tokens
        ],
        "assumed": list(understanding.assumed),
        "filler": list(understanding.filler),
        "corrected": [
            {"span": list(c.span), "written": c.written, "meant": c.meant}
            for c in understanding.corrected
        ],
        "warnings": [
            {"code": w.code, "detail": w.detail, "span": None if w.span is None else list(w.span)}
            for w in understanding.warnings
        ],
    }


def _rows(tokens: Iterable[Token], paint: Paint) -> Iterator[str]:
    """Yield the words, and under each what it was taken for, in rows that fit a terminal."""
    words, roles, used = "", "", 0
    for token in tokens:
        text = " ".join(printable(token.text).split())
        role = token.role if any(c.isalnum() for c in text) else ""
        width = max(len(text), len(role))
        if words and used + width >= _WIDTH:
            yield from (words.rstrip(), roles.rstrip())
            words, roles, used = "", "", 0
        words += f" {paint(text, token.role)}{' ' * (width - len(text))}"
        roles += f" {paint(role, token.role) if role else ''}{' ' * (width - len(role))}"
        used += 1 + width
    yield from (words.rstrip(), roles.rstrip())
