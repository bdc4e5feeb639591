"""Ask an endpoint of the OpenAI form (`POST /chat/completions`) for one rewritten sentence."""

from __future__ import annotations

import attrs
import msgspec

from bond_core.runtime.http import fetch
from bond_server.proposals.settings import ModelSettings

MAX_SENTENCE = 500
_MAX_TOKENS = 300


class UnusableAnswerError(Exception):
    """The endpoint answered, and not with what was asked for."""


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    """What an endpoint answers, as far as it is looked at."""

    choices: list[_Choice]


class _Answer(msgspec.Struct, forbid_unknown_fields=True):
    """What the model was told to write: this key, and no other."""

    sentence: str | None


async def ask(settings: ModelSettings, instructions: str, question: str) -> str | None:
    """Return the sentence that the model writes; None where it says that there is none.

    Raises:
        UnusableAnswerError: The answer is blank, cut off, no JSON, or has other keys.
        Retryable: No answer, not in time, or a status that may pass.
        Fatal: Any other status.
    """
    route = settings.route
    assert route is not None  # noqa: S101 -- whoever has none doesn't ask
    body = {
        "model": settings.model,
        "messages": [
            {"role": "system", "content": instructions},
            {"role": "user", "content": question},
        ],
        "response_format": {"type": "json_object"},
        "temperature": 0,
        "max_tokens": _MAX_TOKENS,
        "stream": False,
    }
    headers = {"Content-Type": "application/json"}
    if settings.key is not None:
        headers["Authorization"] = f"Bearer {settings.key.reveal()}"
    answer = await fetch(
        attrs.evolve(route, target=f"{route.target}/chat/completions"),
        headers=headers, timeout_s=settings.timeout_s, sent=msgspec.json.encode(body),
    )  # fmt: skip
    return decode(answer)


def decode(body: bytes) -> str | None:
    """Return the sentence in an answer's body, None where the model says that there is none.

    Raises:
        UnusableAnswerError: It is not exactly what was asked for.
    """
    try:
        choices = msgspec.json.decode(body, type=_Completion).choices
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UnusableAnswerError("it is no chat completion") from None
    if not choices:
        raise UnusableAnswerError("it is empty")
    if choices[0].finish_reason not in (None, "stop"):
        raise UnusableAnswerError("it is not complete")
    content = (choices[0].message.content or "").strip()
    if not content:  # blank although it is complete: some models do that in JSON mode
        raise UnusableAnswerError("it is blank")
    try:
        sentence = msgspec.json.decode(content, type=_Answer).sentence
    except (msgspec.DecodeError, RecursionError):
        raise UnusableAnswerError("it is not the JSON that was asked for") from None
    if sentence is None:
        return None
    if not sentence.strip() or len(sentence) > MAX_SENTENCE or not sentence.isprintable():
        raise UnusableAnswerError("its sentence is blank, too long or not one line")
    return sentence
