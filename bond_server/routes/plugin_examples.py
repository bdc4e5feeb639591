"""Put what the installed plugins bring into the OpenAPI document: a sentence for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin

from bond_core.plugin.catalog import Catalog
from bond_core.plugin.specs import Spec
from bond_server.language.examples import examples_of
from bond_server.service import Service


class WithPluginExamples(JsonRenderPlugin):
    """Renders the document as JSON, with an example for each connector and aggregator.

    Args:
        bond: Whose plugins they are; asked at each request, since a rescan may bring more.
        path: Where it is served.
    """

    def __init__(self, bond: Service, *, path: str | Sequence[str]) -> None:
        super().__init__(path=path)
        self._bond = bond
        self._made_of: Catalog | None = None
        self._examples: dict[str, str] = {}

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the document."""
        examples = {
            name: {"value": {"natural_language": sentence}}
            for name, sentence in self._sentences().items()
        }
        schema = {**openapi_schema, "paths": _with(openapi_schema.get("paths", {}), examples)}
        return super().render(request, schema)

    def _sentences(self) -> Mapping[str, str]:
        catalog = self._bond.catalog
        if catalog is not self._made_of:
            specs: tuple[Spec, ...] = (*catalog.connectors, *catalog.aggregators)
            self._examples = examples_of(specs, self._bond.vocabulary)
            self._made_of = catalog
        return self._examples


def _with(paths: Mapping[str, Any], examples: Mapping[str, Any]) -> dict[str, Any]:
    """Return paths with more examples of each body that is a sentence or a spec."""
    return {
        path: {verb: _with_in(operation, examples) for verb, operation in operations.items()}
        for path, operations in paths.items()
    }


def _with_in(operation: Any, examples: Mapping[str, Any]) -> Any:
    if not isinstance(operation, Mapping):
        return operation
    body = operation.get("requestBody") or {}
    content = body.get("content", {}).get("application/json", {})
    if "sentence" not in content.get("examples", {}):
        return operation
    more = {**content, "examples": {**content["examples"], **examples}}
    return {
        **operation,
        "requestBody": {**body, "content": {**body["content"], "application/json": more}},
    }
