"""Events as tables: for notebooks, polars and pandas."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys

import pytest

from ekko import Event, MissingLibraryError, Records, Stream
from ekko.event import gap_before

RECORD = {
    "id": "1000-0",
    "symbol": "BTC/USDT",
    "partial": False,
    "ts": "2025-10-21T13:30:05Z",
    "price_avg": 68123.5,
    "price_close": 68120,
    "trades": 15,
    "tweets": 8,
    "custom_count": None,
    "sources": {"binance": {"status": "live", "simulated": True}},
    "notices": [],
}
SILENT = RECORD | {
    "id": "2000-0",
    "ts": "2025-10-21T13:30:05.123456789Z",
    "price_avg": None,
    "price_close": 68121.5,
    "trades": 0,
    "tweets": None,
}


@pytest.fixture(name="records")
def _records():
    gap = gap_before(SILENT, after="1000-0", reason="trimmed")
    return Records([Event(RECORD), gap, Event(SILENT)])


def test_polars_gets_typed_columns_and_nulls(records):
    """Times in UTC to the ns, whole numbers whole, unknown null, nested as JSON."""
    polars = pytest.importorskip("polars")

    frame = records.to_polars()

    assert frame.schema["ts"] == polars.Datetime("ns", "UTC")
    assert frame["ts"].to_physical().to_list() == [1761053405000000000, 1761053405123456789]
    assert frame["price_avg"].to_list() == [68123.5, None]
    assert frame["price_close"].to_list() == [68120.0, 68121.5]
    assert frame.schema["trades"] == polars.Int64
    assert frame["trades"].to_list() == [15, 0]
    assert frame["tweets"].to_list() == [8, None]
    assert frame.schema["custom_count"] == polars.Float64
    assert frame["partial"].to_list() == [False, False]
    assert json.loads(frame["sources"][0]) == RECORD["sources"]
    assert frame.columns == list(RECORD)


def test_pandas_gets_a_utc_index_and_nulls(records):
    """A count stays a whole number though one is unknown; unknown is NA, never zero or NaN."""
    pandas = pytest.importorskip("pandas")

    frame = records.to_pandas()

    assert frame.index.name == "ts"
    assert frame.index[0] == dt.datetime(2025, 10, 21, 13, 30, 5, tzinfo=dt.UTC)
    assert frame.index[1].nanosecond == 789
    assert str(frame["tweets"].dtype) == "Int64"
    assert frame["tweets"].iloc[0] == 8
    assert frame["tweets"].iloc[1] is pandas.NA
    assert frame["price_avg"].iloc[1] is pandas.NA
    assert frame["trades"].tolist() == [15, 0]
    assert frame["sources"].iloc[0] == RECORD["sources"]


def test_gaps_are_no_rows(records):
    """They would be rows of nothing; they stand beside."""
    assert [event.id for event in records] == ["1000-0", "2000-0"]
    assert [gap.reason for gap in records.gaps] == ["trimmed"]
    assert isinstance(records[1:], Records)


@pytest.mark.parametrize("library", ["polars", "pandas"])
def test_no_records_are_an_empty_table(library):
    """Nothing came, and nothing breaks."""
    pytest.importorskip(library)

    assert len(getattr(Records(), f"to_{library}")()) == 0


@pytest.mark.parametrize("library", ["polars", "pandas"])
def test_a_missing_library_is_named(library, monkeypatch, records):
    """With how to get it."""
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(MissingLibraryError, match=rf"sdk/python\[{library}\]"):
        getattr(records, f"to_{library}")()


def test_the_sdk_imports_no_table_library():
    """Only who asks for a table waits for its library."""
    script = "import sys, ekko; print({'polars', 'pandas', 'numpy'} & set(sys.modules))"

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )

    assert done.stdout.strip() == "set()"


def test_a_notebook_shows_events_and_records(records):
    """Unknown as a dash, simulated said, and a line that breaks where a value is unknown."""
    html = records._repr_html_()

    assert "2 records, 1 gaps" in html
    assert "SIMULATED" in html
    assert '<td title="unknown">-</td>' in html
    assert "<svg" in html
    assert "68,123.5" in Event(RECORD)._repr_html_()


def test_a_notebook_shows_no_token_and_no_markup():
    """What a server or a venue says is text, and secrets stay out."""
    stream = Stream(
        {"access_token": "secret", "ws_url": "ws://x/ws/1?token=secret", "label": "<script>"}
    )

    html = stream._repr_html_()

    assert "secret" not in html
    assert "<script>" not in html
