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
    problems: list[Problem] = []

    def text(name: str) -> str:
        return environ.get(name, "").strip()

    def wrong(name: str, must: str) -> None:
        problems.append(Problem(detail=f"must be {must}", pointer=name))

    def number(name: str, usual: float, most: float) -> float:
        given = text(name)
        if not given:
            return usual
        if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", given) and 0 < float(given) <= most:
            return float(given)
        wrong(name, f"a number above 0, at most {most:g}")
        return usual

    def whole(name: str, usual: int) -> int:
        given = text(name)
        if given and not re.fullmatch(r"[0-9]{1,6}", given):
            wrong(name, "a whole number of at most six digits")
        return int(given) if re.fullmatch(r"[0-9]{1,6}", given) else usual

    if text("BOND_NL").lower() not in ("", "auto", "rules"):
        wrong("BOND_NL", "auto or rules")
    key = text("BOND_LLM_API_KEY") or text("DEEPSEEK_API_KEY")
    if not re.fullmatch(r"[!-~]*", key):
        wrong("BOND_LLM_API_KEY" if text("BOND_LLM_API_KEY") else "DEEPSEEK_API_KEY",
              "a key of ASCII characters without spaces")  # fmt: skip
    url = text("BOND_LLM_URL") or (DEEPSEEK if key else "")
    route = None
    if url:
        try:
            route = _route(url)
        except BondError as error:  # the address itself may hold a password: it is not shown
            wrong("BOND_LLM_URL", f"an address of an endpoint: {error.detail}")
    settings = ModelSettings(
        route=route, key=Secret(key) if key else None,
        model=text("BOND_LLM_MODEL") or "deepseek-chat",
        is_off=text("BOND_NL").lower() == "rules",
        timeout_s=number("BOND_LLM_TIMEOUT", 8.0, 60),
        per_minute=whole("BOND_LLM_PER_MINUTE", 10), per_day=whole("BOND_LLM_PER_DAY", 500),
    )  # fmt: skip
    return settings, problems


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
