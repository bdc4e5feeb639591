"""Know which contract a symbol means, in which units its prices and sizes are, and its hours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import msgspec

from bond_ibkr.hours import Hours, read_hours
from bond_ibkr.refusals import Refusal

_COUNTED_IN_BASE = frozenset({"STK", "CASH", "CRYPTO", "CMDTY", "CFD", "FUND", "IND"})
_CONTRACTS = "contracts"


@attrs.frozen
class Listed:
    """A contract as TWS describes it.

    Attributes:
        contract: To ask for data with: ib_async's, with the contract id and an exchange.
        magnifier: What TWS's prices are divided by to be in the contract's currency: 100 where
            they are told in pence.
        size_unit: None where sizes are shares or units; what they count elsewhere.
        hours: When it is traded.
    """

    contract: Any
    magnifier: int
    size_unit: str | None
    hours: Hours


def contract_of(ib: Any, symbol: str) -> Any:
    """Return what to ask TWS about: a contract id where the symbol is a number, else a US stock.

    TWS writes share classes with a space: `BRK B` for `BRK.B`.
    """
    if symbol.isdecimal():
        return ib.Contract(conId=int(symbol))
    name = symbol.replace(".", " ")
    return ib.Contract(symbol=name, secType="STK", exchange="SMART", currency="USD")


def choose(symbol: str, found: Sequence[Any]) -> Listed | Refusal:
    """Return the one contract among TWS's `ContractDetails`, or why there isn't one."""
    if not found:
        return Refusal(f"TWS describes no contract for {symbol}: name a contract id instead of it")
    by_id: dict[int, list[Any]] = {}
    for details in found:
        by_id.setdefault(details.contract.conId, []).append(details)
    if len(by_id) > 1:
        ids = ", ".join(_named(alike[0]) for alike in list(by_id.values())[:5])
        return Refusal(f"{symbol} may be any of {ids}: name a contract id instead of it")
    alike = next(iter(by_id.values()))
    details = next((d for d in alike if d.contract.exchange == "SMART"), alike[0])
    return Listed(
        contract=details.contract,
        magnifier=max(1, details.priceMagnifier),
        size_unit=None if details.contract.secType in _COUNTED_IN_BASE else _CONTRACTS,
        hours=read_hours(details.tradingHours, details.timeZoneId),
    )


def as_json(listed: Listed) -> str:
    """Return what there is to say of a contract, as a JSON object."""
    contract = listed.contract
    said = {
        "symbol": contract.symbol,
        "type": contract.secType,
        "exchange": contract.exchange,
        "primary_exchange": contract.primaryExchange,
        "currency": contract.currency,
        "multiplier": contract.multiplier,
        "expires": contract.lastTradeDateOrContractMonth,
    }
    body: dict[str, object] = {name: value for name, value in said.items() if value}
    body["size_unit"] = listed.size_unit or "units"
    return msgspec.json.encode(body).decode()


def _named(details: Any) -> str:
    contract = details.contract
    return f"{contract.conId} ({contract.primaryExchange or contract.exchange})"
