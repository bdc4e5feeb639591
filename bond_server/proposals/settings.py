"""What the environment says about the language model that may be asked.

DEEPSEEK_API_KEY      asks DeepSeek with this key
BOND_LLM_URL          another endpoint of the OpenAI form, such as http://127.0.0.1:11434/v1
BOND_LLM_API_KEY      its key, where it wants one; else DEEPSEEK_API_KEY is sent
BOND_LLM_MODEL        which of its models (deepseek-chat)
BOND_LLM_TIMEOUT      seconds that an answer may take (8)
BOND_LLM_PER_MINUTE   questions a minute (10); BOND_LLM_PER_DAY a day (500)
BOND_NL               `rules`: no model is asked, whatever else is set; `auto` is the default
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from bond_core.errors import BondError, Problem
from bond_core.plugin.egress import Route, parse_url
from bond_core.settings import Secret

DEEPSEEK = "https://api.deepseek.com"
HOW = (
    "set DEEPSEEK_API_KEY, or BOND_LLM_URL for another endpoint, and a language model is asked "
    "for a proposal"
)
_KEY, _A_KEY = "[!-~]*", "a key of ASCII characters without spaces"
_HERE = ("127.0.0.1", "::1", "localhost")


@attrs.frozen(kw_only=True)
class ModelSettings:
    """Which model is asked, and how much.

    Attributes:
        route: The endpoint's address, without `/chat/completions`; None where no model is asked.
        key: Sent as a bearer token; None for an endpoint that asks for none.
        is_off: Whether somebody said that no model is to be asked.
        timeout_s: For all of one question.
        per_minute: Questions in any 60 seconds, of this process.
        per_day: Questions in any 24 hours.
    """

    route: Route | None = None
    key: Secret | None = None
    model: str = "deepseek-chat"
    is_off: bool = False
    timeout_s: float = 8.0
    per_minute: int = 10
    per_day: int = 500


def model_settings(environ: Mapping[str, str]) -> tuple[ModelSettings, list[Problem]]:
    """Return which model the environment names, and what in it makes no sense."""
    read = _Reader(environ)
    mode = read.text("BOND_NL", "|auto|rules", "auto or rules").lower()
    own_key = read.text("BOND_LLM_API_KEY", _KEY, _A_KEY)
    key = own_key or read.text("DEEPSEEK_API_KEY", _KEY, _A_KEY)
    settings = ModelSettings(
        route=read.route("BOND_LLM_URL", DEEPSEEK if key else ""),
        key=Secret(key) if key else None,
        model=read.text("BOND_LLM_MODEL") or "deepseek-chat",
        is_off=mode == "rules",
        timeout_s=read.number("BOND_LLM_TIMEOUT", 8.0, at_most=60),
        per_minute=round(read.number("BOND_LLM_PER_MINUTE", 10, at_most=1e6)),
        per_day=round(read.number("BOND_LLM_PER_DAY", 500, at_most=1e6)),
    )
    return settings, read.problems


@attrs.frozen
class _Reader:
    """Takes variables out of the environment, and notes which make no sense."""

    environ: Mapping[str, str]
    problems: list[Problem] = attrs.field(factory=list)

    def wrong(self, name: str, must: str) -> None:
        """Note it; what it holds may be secret, and is not repeated."""
        self.problems.append(Problem(detail=f"must be {must}", pointer=name))

    def text(self, name: str, pattern: str = ".*", must: str = "one line") -> str:
        given = self.environ.get(name, "").strip()
        if re.fullmatch(pattern, given, re.IGNORECASE):
            return given
        self.wrong(name, must)
        return ""

    def number(self, name: str, usual: float, *, at_most: float) -> float:
        must = f"a number above 0, at most {at_most:g}"
        given = self.text(name, r"([0-9]{1,7}(\.[0-9]{1,3})?)?", must)
        if given and not 0 < float(given) <= at_most:
            self.wrong(name, must)
        return float(given or usual)

    def route(self, name: str, usual: str) -> Route | None:
        url = self.text(name) or usual
        try:
            return _route(url) if url else None
        except BondError as error:
            self.wrong(name, f"an address of an endpoint: {error.detail}")
            return None


def _route(url: str) -> Route:
    """Return where an endpoint is: over TLS, or on this machine.

    Raises:
        BondError: It is neither, or no address.
    """
    route = parse_url(url)
    is_here = route.host in _HERE
    if route.scheme not in ("http", "https") or not (route.is_tls or is_here):
        raise BondError("https://..., or http:// on this machine")
    if "?" in route.target:
        raise BondError("it has no query")
    # On this machine no proxy is asked; elsewhere the environment's is, as for any connector.
    return attrs.evolve(route, target=route.target.rstrip("/"), is_guarded=is_here)
