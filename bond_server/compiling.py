"""From a request to what would run: English or a spec, then the installed plugins."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from bond_core.errors import BondError, Problem, RequestError
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.specs import ConnectorSpec
from bond_core.runtime.binding import BoundStream, Defaults, bind
from bond_core.spec.read import read_spec
from bond_core.spec.stream_spec import StreamOptions, StreamSpec
from bond_server.language.compile import Understanding, understand
from bond_server.language.pace import UNFIT_WINDOW
from bond_server.language.vocabulary import Vocabulary
from bond_server.mending import EXAMPLE, working_fix

_OPTIONS = ("ephemeral", "duration_sec", "replay_sec", "label")
_KEYS = ("natural_language", "spec", *_OPTIONS)


@attrs.frozen(kw_only=True)
class Compiled:
    """A request that makes sense and can be had here: what would run.

    Attributes:
        bound: The spec with everything resolved, and what it means here.
        given: The spec as it was read, before anything was resolved; None where it was not.
        options: What was said beside the spec.
        understanding: How the sentence was read; None where a spec was given.
        assumed: What was decided for the user, one phrase each.
        warnings: What the user should know.
    """

    bound: BoundStream
    options: StreamOptions
    understanding: Understanding | None
    assumed: tuple[str, ...]
    warnings: tuple[str, ...]
    given: StreamSpec | None = None

    @property
    def spec(self) -> StreamSpec:
        """The spec, all defaults resolved."""
        return self.bound.spec


def compile_request(
    request: Mapping[str, Any], catalog: Catalog, vocabulary: Vocabulary, defaults: Defaults
) -> Compiled:
    """Return what the request means here.

    Raises:
        BondError: It makes no sense, or can't be had here. Its `fix` has been tried: it is
            what came with the error, or else an example, as a sentence or a whole request.
    """
    try:
        return _compile(request, catalog, vocabulary, defaults)
    except BondError as error:
        error.fix = working_fix(
            error.fix,
            tries=lambda mended: _compile(mended, catalog, vocabulary, defaults),
            is_spec="spec" in request,
        )
        raise


def _compile(
    request: Mapping[str, Any], catalog: Catalog, vocabulary: Vocabulary, defaults: Defaults
) -> Compiled:
    _check_keys(request)
    understanding: Understanding | None = None
    told: list[str] = []
    if "natural_language" in request:
        text = request["natural_language"]
        if not isinstance(text, str):
            raise _wrong(
                "/natural_language", "must be a text", f'{{"natural_language": "{EXAMPLE}"}}'
            )
        understanding = understand(text, vocabulary, default_exchanges=defaults.exchanges)
        refuse_unfit(understanding)
        body: Any = dict(understanding.spec)
        body["sources"], told = _only_asked(body["sources"], catalog)
    else:
        body = request["spec"]
    if isinstance(body, Mapping):
        body = {**body, **{key: request[key] for key in _OPTIONS if key in request}}
    spec, options = read_spec(body)
    bound = bind(spec, catalog, defaults)
    read = understanding
    return Compiled(
        bound=bound,
        given=spec,
        options=options,
        understanding=understanding,
        assumed=all_assumed((*read.assumed, *told) if read else (), bound.assumed),
        warnings=tuple(w.detail for w in read.warnings) if read else (),
    )


def _only_asked(
    sources: Iterable[Mapping[str, Any]], catalog: Catalog
) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Return a sentence's sources, an interval only with those that are asked for news.

    `liquidations every 10s` beside `price every 1s` is a wish that a source can't fulfil which
    speaks up by itself: what it says is in every record.
    """
    found, told = [], []
    for source in sources:
        connector = catalog.connector(str(source["type"]))
        every = source.get("interval_sec")
        if every is None or connector is None or _is_asked(connector):
            found.append(source)
            continue
        found.append({key: value for key, value in source.items() if key != "interval_sec"})
        told.append(f"{source['type']}=in every record, as they come, not every {every}s")
    return found, told


def _is_asked(connector: ConnectorSpec) -> bool:
    """Whether it may be said how often a source is asked."""
    return "every_s" in {field.name for field in attrs.fields(connector.config)}


def refuse_unfit(understanding: Understanding) -> None:
    """Refuse a sentence that is understood, and whose windows no stream can have."""
    for warning in understanding.warnings:
        if warning.code == UNFIT_WINDOW:
            text, span = understanding.text, warning.span
            fix = f"{text} {warning.instead}"
            if span is not None:
                fix = text[: span[0]] + warning.instead + text[span[1] :]
            problem = Problem(
                detail=warning.detail, pointer="/natural_language", span=span,
                text=None if span is None else text[slice(*span)], did_you_mean=(warning.instead,),
            )  # fmt: skip
            raise RequestError(
                warning.detail, code="conflicting_interval", problems=[problem], fix=fix
            )


def all_assumed(read: Iterable[str], bound: Iterable[str]) -> tuple[str, ...]:
    """Return what reading and binding assumed; of one thing, what binding says: that runs."""
    by_key = {phrase.partition("=")[0]: phrase for phrase in (*read, *bound)}
    return tuple(by_key.values())


def _check_keys(request: Mapping[str, Any]) -> None:
    for key in request:
        if key not in _KEYS:
            near = tuple(difflib.get_close_matches(str(key), _KEYS, n=1))
            raise RequestError(
                f"unknown key {key!r}",
                problems=[
                    Problem(detail=f"unknown key {key!r}", pointer=f"/{key}", text=str(key),
                            did_you_mean=near)
                ],
                fix=f'{{"natural_language": "{EXAMPLE}"}}',
            )  # fmt: skip
    if ("natural_language" in request) == ("spec" in request):
        raise _wrong(
            "", "give either natural_language or spec", f'{{"natural_language": "{EXAMPLE}"}}'
        )


def _wrong(pointer: str, detail: str, fix: str) -> RequestError:
    return RequestError(
        f"{pointer}: {detail}".removeprefix(": "),
        problems=[Problem(detail=detail, pointer=pointer)],
        fix=fix,
    )
