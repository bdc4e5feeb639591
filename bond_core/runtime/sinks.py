"""Bind a stream's sinks to what is installed, and check their settings before anything runs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import attrs

from bond_core.errors import NotInstalledError, Problem, RequestError
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.specs import Batching, SinkSpec
from bond_core.runtime.families import needs_sink
from bond_core.runtime.sink_policy import SinkPolicy
from bond_core.settings import SettingsError, from_environment, structure
from bond_core.spec.stream_spec import SINK_KEYS, SinkEntry
from bond_core.structuring import nearest


@attrs.frozen(kw_only=True)
class BoundSink:
    """One sink of one stream, ready to be made.

    Attributes:
        name: What the stream calls it.
        spec: The plugin's.
        config: Its settings, secrets revealed to it alone.
        batch: When records make a batch.
    """

    name: str
    spec: SinkSpec
    config: Any = attrs.field(repr=False)
    batch: Batching


def bind_sinks(
    given: Iterable[SinkEntry], catalog: Catalog, policy: SinkPolicy
) -> tuple[tuple[SinkEntry, ...], tuple[BoundSink, ...]]:
    """Return the sinks as they stand in the spec, in the order of their names, and what runs.

    Raises:
        NotInstalledError: Bond knows the type, and no installed plugin brings it.
        RequestError: `unknown_sink`, two of one name, or settings that don't fit.
    """
    found: list[tuple[SinkEntry, BoundSink]] = []
    for i, entry in enumerate(given):
        pointer = f"/spec/sinks/{i}"
        spec = _installed(entry.type, catalog, pointer)
        name = entry.name or spec.name
        if name in {other.name for _, other in found}:
            detail = f"two sinks are called {name!r}: give one another name"
            problem = Problem(detail=detail, pointer=f"{pointer}/name", text=name)
            raise RequestError(detail, code="invalid_spec", problems=[problem])
        config = _config(entry, spec, policy, pointer)
        found.append((_plainly(entry, spec), _bound(entry, spec, name, config)))
    found.sort(key=lambda pair: pair[1].name)
    return tuple(entry for entry, _ in found), tuple(sink for _, sink in found)


def _installed(type_: str, catalog: Catalog, pointer: str) -> SinkSpec:
    spec = catalog.sink(type_)
    if spec is not None:
        return spec
    why = needs_sink(type_)
    if why is not None:
        problem = Problem(detail=why, pointer=f"{pointer}/type", text=type_)
        raise NotInstalledError(why, problems=[problem])
    names = [sink.name for sink in catalog.sinks]
    detail = f"I don't know the sink {type_!r}; installed: {', '.join(names) or 'none'}"
    problem = Problem(
        detail=detail, pointer=f"{pointer}/type", text=type_, did_you_mean=nearest(type_, names)
    )
    raise RequestError(detail, code="unknown_sink", problems=[problem])


def _config(entry: SinkEntry, spec: SinkSpec, policy: SinkPolicy, pointer: str) -> Any:
    problems = [
        Problem(detail=why, pointer=pointer + where) for where, why in policy.refused(entry.config)
    ]
    if not problems:
        try:
            filled = from_environment(spec.config, os.environ)
            return structure(spec.config, {**filled, **entry.config}, pointer=pointer)
        except SettingsError as error:
            problems = [_with_own_words(problem) for problem in error.problems]
    detail = f"{problems[0].pointer}: {problems[0].detail}"
    raise RequestError(detail, code="invalid_spec", problems=problems)


def _with_own_words(problem: Problem) -> Problem:
    """Suggest for an unknown key also the keys that any sink has."""
    if problem.did_you_mean or not problem.detail.startswith("unknown key"):
        return problem
    return attrs.evolve(problem, did_you_mean=nearest(problem.text or "", SINK_KEYS))


def _plainly(entry: SinkEntry, spec: SinkSpec) -> SinkEntry:
    """Return the entry without what says nothing: the canonical form of a spec has none of it."""
    defaults = {field.name: field.default for field in attrs.fields(spec.config)}
    config = {
        key: value
        for key, value in entry.config.items()
        if not (type(value) is type(defaults[key]) and value == defaults[key])
    }
    batch = spec.batch
    return attrs.evolve(
        entry,
        type=spec.name,
        name="" if entry.name == spec.name else entry.name,
        batch_records=_unless(batch.records, entry.batch_records),
        batch_bytes=_unless(batch.size_bytes, entry.batch_bytes),
        batch_wait_ms=_unless(round(batch.wait_s * 1000), entry.batch_wait_ms),
        config=config,
    )


def _unless(usual: int, given: int | None) -> int | None:
    return None if given == usual else given


def _bound(entry: SinkEntry, spec: SinkSpec, name: str, config: Any) -> BoundSink:
    batch, wait_ms = spec.batch, entry.batch_wait_ms
    return BoundSink(
        name=name,
        spec=spec,
        config=config,
        batch=Batching(
            records=entry.batch_records or batch.records,
            size_bytes=entry.batch_bytes or batch.size_bytes,
            wait_s=batch.wait_s if wait_ms is None else wait_ms / 1000,
        ),
    )
