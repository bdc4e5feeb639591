"""Have a language model propose a sentence, and let through only what its author can have meant.

    text ─model─▶ sentence ─rules─▶ spec ─grounding─▶ binding ─▶ Proposal, for the author to send

The model writes no spec. Its sentence is understood by the same rules as anybody's, everything
in it that could be made up must stand in the author's text, and nothing of it runs.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Self

import attrs

from bond_core.clock import Clock
from bond_core.errors import BondError, SourceError
from bond_core.spec.canonical import spec_as_json
from bond_server.compiling import Compiled
from bond_server.language.compile import Understanding, understand
from bond_server.language.grounding import ground
from bond_server.language.normalise import normalise
from bond_server.language.prompt import instructions, question
from bond_server.language.vocabulary import Vocabulary
from bond_server.proposals.allowance import Allowance
from bond_server.proposals.endpoint import UnusableAnswerError, ask
from bond_server.proposals.settings import HOW, ModelSettings

KEPT_ANSWERS = 512
_SHOWN = 4

Compile = Callable[[Mapping[str, Any]], Compiled]
"""Turns a request into what would run here; raises BondError."""


@attrs.frozen(kw_only=True)
class Proposal:
    """A sentence that a model wrote in place of one that was not understood.

    Attributes:
        sentence: In its canonical form: sent as `natural_language` it gives this spec.
        spec: What would run.
        assumed: What neither of them says.
        interpreted: Words for what is wanted that are the model's.
        left_out: Parts of the text that are not in it.
        model: Who proposes it.
    """

    sentence: str
    spec: Mapping[str, Any]
    assumed: tuple[str, ...]
    interpreted: tuple[str, ...]
    left_out: tuple[str, ...]
    model: str

    @classmethod
    def of_json(cls, said: Mapping[str, Any]) -> Self:
        """Return the proposal that an error of a server carries."""

        def listed(key: str) -> tuple[str, ...]:
            return tuple(map(str, said.get(key) or ()))

        return cls(
            sentence=str(said.get("sentence", "")), spec=dict(said.get("spec") or {}),
            assumed=listed("assumed"), interpreted=listed("interpreted"),
            left_out=listed("left_out"), model=str(said.get("compiled_by", "")),
        )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """Return it as errors carry it."""
        return {
            "sentence": self.sentence,
            "spec": dict(self.spec),
            "assumed": list(self.assumed),
            "interpreted": list(self.interpreted),
            "left_out": list(self.left_out),
            "compiled_by": self.model,
            "needs_confirmation": True,
        }


class NoProposalError(Exception):
    """There is no proposal; its text says why, and is empty where nobody wants one.

    Attributes:
        outcome: `not_asked`, `failed` (nobody answered), `unusable` (no answer to what was
            asked) or `refused` (an answer that may not be used).
    """

    def __init__(self, why: str = "", outcome: str = "refused") -> None:
        super().__init__(why)
        self.outcome = outcome


class Proposer:
    """Asks the model, within its allowance, and never twice the same.

    Args:
        settings: Which model.
        clock: What time it is.

    Attributes:
        outcomes: How often it went which way.
    """

    def __init__(self, settings: ModelSettings, clock: Clock) -> None:
        self.outcomes: Counter[str] = Counter()
        self._settings = settings
        self._allowance = Allowance(clock, per_minute=settings.per_minute, per_day=settings.per_day)
        self._answers: OrderedDict[bytes, str | None] = OrderedDict()

    async def propose(self, text: str, vocabulary: Vocabulary, compile_: Compile) -> Proposal:
        """Return what may have been meant.

        Raises:
            NoProposalError: There is none.
        """
        if self._settings.is_off:
            raise NoProposalError
        if self._settings.route is None:
            raise NoProposalError(HOW)
        try:
            proposal = await self._proposed(text, vocabulary, compile_)
        except NoProposalError as error:
            self.outcomes[error.outcome] += 1
            raise
        self.outcomes["proposed"] += 1
        return proposal

    async def _proposed(self, text: str, vocabulary: Vocabulary, compile_: Compile) -> Proposal:
        written = await self._sentence(text, vocabulary)
        if written is None:
            raise NoProposalError("the language model that was asked has no proposal either")
        understanding = _understood(written, vocabulary)
        grounding = ground(understanding.sentence, text, vocabulary)
        if grounding.strange:
            shown = ", ".join(grounding.strange[:_SHOWN])
            raise NoProposalError(f"{_ANSWERED}: your text does not say {shown}")
        try:
            compiled = compile_({"natural_language": understanding.sentence})
        except BondError as error:
            raise NoProposalError(f"{_ANSWERED} here: {error.detail}") from None
        assumed = dict.fromkeys((*grounding.assumed, *compiled.assumed))
        return Proposal(
            sentence=understanding.sentence,
            spec=spec_as_json(compiled.spec),
            assumed=tuple(assumed),
            interpreted=grounding.interpreted,
            left_out=grounding.left_out,
            model=self._settings.model,
        )

    async def _sentence(self, text: str, vocabulary: Vocabulary) -> str | None:
        """Return what the model writes, or wrote when it was asked the same."""
        told = instructions(vocabulary)
        asked = " ".join(normalise(text).text.split())
        key = hashlib.sha256(f"{self._settings.model}\n{told}\n{asked}".encode()).digest()
        if key in self._answers:
            self._answers.move_to_end(key)
            return self._answers[key]
        why_not = self._allowance.why_not()
        if why_not is not None:
            raise NoProposalError(why_not, "not_asked")
        try:
            sentence = await ask(self._settings, told, question(asked))
        except SourceError as error:
            self._allowance.failed(getattr(error, "retry_after_s", None))
            why = f"the language model can't be asked: {error.detail}"
            raise NoProposalError(why, "failed") from None
        except UnusableAnswerError as error:
            self._allowance.answered()
            raise NoProposalError(f"{_ANSWERED}: {error}", "unusable") from None
        self._allowance.answered()
        self._answers[key] = sentence
        while len(self._answers) > KEPT_ANSWERS:
            self._answers.popitem(last=False)
        return sentence


_ANSWERED = "the language model's answer can't be used"


def _understood(sentence: str, vocabulary: Vocabulary) -> Understanding:
    """Return what a model's sentence means; one with slips is as good as none."""
    try:
        found = understand(sentence, vocabulary)
    except BondError as error:
        raise NoProposalError(f"{_ANSWERED}: {error.code.replace('_', ' ')}") from None
    if found.corrected or any(w.code in ("unparsed", "ignored") for w in found.warnings):
        raise NoProposalError(f"{_ANSWERED}: it is not quite a sentence of Bond's")
    return found
