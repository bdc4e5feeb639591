"""Make Python of a KindPlan: one class for a pane's state, one loop for its events.

The loop is where every event of a stream goes through, so all that it may leave out is
left out: no call per event, no object per event, nothing computed twice. What it meets
rarely (a new pane, a late event, a closing window) is a call to the source it runs for.

    for each event     its part (source, symbol, pane), by symbol
                       is it the newest of that pane, too early to close a window? most are
                           are its sizes in the pane's unit?
                           count it, sample its delay
                           every slot of the pane, and of the source's own where a field asks
                       else the same, but
                           is it in that part's pane? else the source finds another, or none
                           it may be the first, the last or neither
                           may it close a window?

Comparing two times costs as much as three steps of sums: where an event is the newest, it is
in its pane and the last of it, and nothing else has to be compared.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from bond_core.windows import expression
from bond_core.windows.compile import KindPlan, Slot


def render(plan: KindPlan) -> str:
    """Write a plan as the source of a module."""
    parts = (_pane, _run, _absorb, _values, _columns)
    return "\n".join(line for part in parts for line in (*part(plan), ""))


def _pane(plan: KindPlan) -> Iterator[str]:
    """Write the class that a pane's state is kept in."""
    start = {"n": "0", "unit": "None", "newest": "-FAR"}
    for slot in plan.slots:
        start |= _initial(slot)
    start |= {fold.slot: "None" for fold in plan.folds}
    start |= {reduce.slot: "NOTHING" for reduce in plan.partials}
    if plan.reduces:
        start["events"] = "[]"
    if plan.own is not None:
        start["by"] = "{}"
    yield "class Pane:"
    yield f"    __slots__ = ({', '.join(map(repr, start))},)"
    yield ""
    yield "    def __init__(a):"
    yield from (f"        a.{name} = {value}" for name, value in start.items())
    for fold in plan.folds:
        yield "        try:"
        yield f"            a.{fold.slot} = {fold.slot}_zero()"
        yield "        except Exception as error:"
        yield f"            a.{fold.slot} = BROKEN"
        yield f"            failed({fold.name!r}, error)"


def _initial(slot: Slot) -> dict[str, str]:
    match slot.step:
        case "count":
            return {slot.name: "0"}
        case "sum":
            return {slot.name: "0" if slot.type == "int" else "0.0"}
        case "min":
            return {slot.name: "INF"}
        case "max":
            return {slot.name: "-INF"}
        case "first" | "last":
            return {slot.name: "None"}


def _run(plan: KindPlan) -> Iterator[str]:
    """Write the loop."""
    yield "def run(source, events):"
    yield "    parts = source.parts"
    yield "    max_ts = source.max_ts"
    yield "    for e in events:"
    yield "        ts = e.ts"
    yield "        try:"
    yield "            c = parts[e.symbol]"
    yield "        except KeyError:"
    yield "            c = source.otherwise"
    yield "        a = c.pane"
    yield "        if a.newest < ts < c.until:"
    yield from (f"            {line}" for line in _counted(plan, _as_newest))
    yield "            a.newest = ts"
    yield from (f"            {line}" for line in _own(plan.own, _as_newest))
    yield "            if ts > max_ts:"
    yield "                max_ts = ts"
    yield "            continue"
    yield "        if not c.start <= ts < c.end:"
    yield "            c = source.find(c, e)"
    yield "            if c is None:"
    yield "                continue"
    yield "            a = c.pane"
    yield from (f"        {line}" for line in _counted(plan, _in_order))
    yield "        if ts > a.newest:"
    yield "            a.newest = ts"
    yield from (f"        {line}" for line in _own(plan.own, _in_order))
    yield "        if ts > max_ts:"
    yield "            max_ts = ts"
    yield "            if ts >= source.fire_at:"
    yield "                source.fire(ts)"
    yield "    source.max_ts = max_ts"


Ends = Callable[[str | None, str | None], Iterator[str]]
"""Writes what keeps the first and the last event: of which names, None where one is not kept."""


def _counted(plan: KindPlan, ends: Ends) -> Iterator[str]:
    """Write what an event does to its part and its pane."""
    if plan.has_units:
        yield "if e.size_unit is not a.unit and not source.admits_unit(c, e):"
        yield "    continue"
    yield "c.n = n = c.n + 1"
    if plan.keeps:
        yield "c.heard.append(e)"
    yield "if not n & c.mask:"
    yield "    c.lags.append(e.recv_ts - ts)"
    yield "    if n > c.full:"
    yield "        c.thin()"
    yield from _steps(plan, ends)


def _own(plan: KindPlan | None, ends: Ends) -> Iterator[str]:
    """Write what an event does to the part of its pane that is its source's alone, if any is."""
    if plan is None:
        return
    yield "a = c.own"
    yield "a.n += 1"
    yield from _steps(plan, ends)


def _steps(plan: KindPlan, ends: Ends) -> Iterator[str]:
    """Write what an event does to its pane: what holds for all of them, then each condition."""
    slots = [slot for slot in plan.slots if slot.name != "n"]
    bound = {"ts": "ts"}
    always = [slot.value for slot in slots if slot.value and not slot.conditions]
    uses = _uses(slots)
    shared = {
        text: node
        for value in always
        for node in expression.subexpressions(value)
        if uses[text := ast.unparse(node)] > 1
    }
    tested = {
        node.id: node
        for slot in slots
        for condition in slot.conditions
        for node in ast.walk(condition)
        if isinstance(node, ast.Name) and uses[node.id] > 1
    }
    for text, node in (tested | shared).items():
        yield _bind(text, node, bound)
    groups: dict[frozenset[str], list[Slot]] = {}
    for slot in slots:
        groups.setdefault(frozenset(map(ast.unparse, slot.conditions)), []).append(slot)
    for group in groups.values():
        conditions = [expression.write(each, bound) for each in group[0].conditions]
        if conditions:
            yield f"if {' and '.join(conditions)}:"
        indent = "    " if conditions else ""
        yield from (indent + line for line in _group(group, dict(bound), ends))
    for fold in plan.folds:
        yield f"if a.{fold.slot} is not BROKEN:"
        yield "    try:"
        yield f"        a.{fold.slot} = {fold.slot}_add(a.{fold.slot}, e)"
        yield "    except Exception as error:"
        yield f"        a.{fold.slot} = BROKEN"
        yield f"        failed({fold.name!r}, error)"
    if plan.reduces:
        yield "a.events.append(e)"


def _group(group: Sequence[Slot], bound: dict[str, str], ends: Ends) -> Iterator[str]:
    """Write what an event does to the slots of one condition, which it fulfils."""
    uses = _uses(group)
    for slot in group:
        for node in expression.subexpressions(slot.value) if slot.value else ():
            if uses[text := ast.unparse(node)] > 1 and text not in bound:
                yield _bind(text, node, bound)
        if slot.step not in ("first", "last"):
            yield from _step(slot, bound)
    kept = {slot.step: f"a.{slot.name}" for slot in group}
    yield from ends(kept.get("first"), kept.get("last"))


def _uses(slots: Iterable[Slot]) -> Mapping[str, int]:
    """Count how often each subexpression is evaluated; Min and Max use their value twice."""
    uses: dict[str, int] = {}
    for slot in slots:
        nodes = list(expression.subexpressions(slot.value)) if slot.value else []
        nodes += [n for c in slot.conditions for n in ast.walk(c) if isinstance(n, ast.Name)]
        if slot.value and slot.step in ("min", "max"):
            nodes.append(slot.value)
        for node in nodes:
            text = ast.unparse(node)
            uses[text] = uses.get(text, 0) + 1
    return uses


def _bind(text: str, node: ast.expr, bound: dict[str, str]) -> str:
    """Write the assignment of a subexpression to a local variable, and remember it."""
    local = f"e_{text}" if isinstance(node, ast.Name) else f"x{len(bound)}"
    line = f"{local} = {expression.write(node, bound)}"
    bound[text] = local
    return line


def _step(slot: Slot, bound: Mapping[str, str]) -> Iterator[str]:
    value = expression.write(slot.value, bound) if slot.value else ""
    name = f"a.{slot.name}"
    match slot.step:
        case "count":
            yield f"{name} += 1"
        case "sum":
            yield f"{name} += {value}"
        case "min" | "max":
            yield f"if {value} {'<' if slot.step == 'min' else '>'} {name}:"
            yield f"    {name} = {value}"


def _as_newest(first: str | None, last: str | None) -> Iterator[str]:
    """Write what keeps the ends of a pane whose newest event this is."""
    if last is not None:
        yield f"{last} = e"
    if first is not None:
        yield f"if {first} is None:"
        yield f"    {first} = e"


def _in_order(first: str | None, last: str | None) -> Iterator[str]:
    """Write what keeps the ends of a pane, whenever the event came."""
    for kept, is_nearer, on_tie in ((last, ">", ">="), (first, "<", "<")):
        if kept is not None:
            tie = f"ts == {kept}.ts and e.seq {on_tie} {kept}.seq"
            yield f"if {kept} is None or ts {is_nearer} {kept}.ts or ({tie}):"
            yield f"    {kept} = e"


def _absorb(plan: KindPlan) -> Iterator[str]:
    """Write how a later pane is added to an earlier one."""
    yield "def absorb(a, b):"
    yield "    a.n += b.n"
    for slot in plan.slots:
        mine, its = f"a.{slot.name}", f"b.{slot.name}"
        match slot.step:
            case "count" | "sum":
                if slot.name != "n":
                    yield f"    {mine} += {its}"
            case "min" | "max":
                yield f"    if {its} {'<' if slot.step == 'min' else '>'} {mine}:"
                yield f"        {mine} = {its}"
            case "first" | "last":
                sign = "<" if slot.step == "first" else ">="
                order = f"({its}.ts, {its}.seq) {sign} ({mine}.ts, {mine}.seq)"
                yield f"    if {its} is not None and ({mine} is None or {order}):"
                yield f"        {mine} = {its}"


def _values(plan: KindPlan) -> Iterator[str]:
    """Write how the fields' values are computed from a pane."""
    yield "def values(a):"
    for place, read in enumerate(plan.reads):
        name = f"a.{read.slot.name}"
        if read.value is not None:
            value = expression.write(read.value, {}, event=name)
            yield f"    p{place} = None if {name} is None else {value}"
        elif read.slot.step in ("min", "max"):
            worst = "INF" if read.slot.step == "min" else "-INF"
            yield f"    p{place} = None if {name} == {worst} else {name}"
        else:
            yield f"    p{place} = {name}"
    for place, metric in enumerate(plan.metrics):
        if metric.finish is None:
            continue
        given = ", ".join(f"{name}=p{read}" for name, read in metric.reads.items())
        yield "    try:"
        yield f"        v{place} = finish_{place}({given})"
        yield "    except Exception as error:"
        yield f"        v{place} = None"
        yield f"        failed({metric.name!r}, error)"
    yield "    return {"
    for place, metric in enumerate(plan.metrics):
        if metric.finish is None:
            (only,) = metric.reads.values()
            value, is_count = f"p{only}", plan.reads[only].slot.step == "count"
        else:
            value, is_count = f"v{place}", False
        if not is_count:  # finite floats, nearly all there is, are let through here
            fine = f"type({value}) is float and {value} - {value} == 0.0"
            value = f"{value} if {fine} else checked({metric.name!r}, {value})"
        yield f"        {metric.name!r}: {value},"
    yield "    }"


def _columns(plan: KindPlan) -> Iterator[str]:
    """Write how the columns of each Reduce are read from a pane's events."""
    yield "columns = {"
    for reduce in plan.partials:
        known = " and ".join(expression.write(each, {}) for each in reduce.conditions)
        condition = f" if {known}" if known else ""
        columns = (expression.write(column, {}) for column in reduce.columns)
        lists = "".join(f"[{column} for e in events{condition}], " for column in columns)
        yield f"    {reduce.slot!r}: lambda events: ({lists}),"
    yield "}"
