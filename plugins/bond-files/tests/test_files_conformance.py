"""The conformance kit: files of JSON lines, and of Parquet."""

from __future__ import annotations

import json

from bond_core.testing import SinkConformance


class TestFiles(SinkConformance):
    """JSON lines, those that are being written among them."""

    spec = "files"
    bad_configs = {
        "no folder": {},
        "a format of nobody's": {"folder": "out", "format": "csv"},
        "files of no bytes": {"folder": "out", "rotate_bytes": 0},
        "a new file every moment": {"folder": "out", "rotate_s": 0.01},
    }

    def make_config(self, tmp_path):
        """Write below the test's own folder."""
        return {"folder": str(tmp_path / "records")}

    def read_back(self, tmp_path):
        """Read whole files, and what is being written, in the order in which they began."""
        found = []
        for path in sorted((tmp_path / "records").iterdir()):
            if path.suffix == ".parquet":
                found += rows_of(path)
            else:
                found += [json.loads(line) for line in path.read_text().splitlines()]
        return found


class TestParquet(TestFiles):
    """The other format."""

    def make_config(self, tmp_path):
        """Write Parquet."""
        return {**super().make_config(tmp_path), "format": "parquet"}


def rows_of(path):
    """Return the rows of a Parquet file."""
    import pyarrow.parquet as pq

    return pq.read_table(path).to_pylist()
