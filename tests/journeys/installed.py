"""Install a package as an installer would, into a folder of its own, where Bond finds it."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def lay_out(site: Path, files: Mapping[str, str]) -> None:
    """Put a package's modules and metadata where Python looks for them; no build."""
    for path, text in files.items():
        if path.startswith("bond_"):
            file = site / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    project = tomllib.loads(files["pyproject.toml"])["project"]
    name, version = project["name"], project["version"]
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    points = project["entry-points"]["bond.v1"].items()
    lines = [f"{point} = {module}" for point, module in points]
    (info / "entry_points.txt").write_text("\n".join(["[bond.v1]", *lines, ""]))


def pip_install(site: Path, package: Path) -> None:
    """Install a package's source offline: nothing is downloaded, the build included."""
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps",
            "--no-build-isolation", "--disable-pip-version-check", "--target", site, package,
        ],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@contextmanager
def on_path(site: Path) -> Iterator[None]:
    """Have what is in a folder be installed, in this process."""
    sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    known = set(sys.modules)
    try:
        yield
    finally:
        sys.path.remove(str(site))
        for name in set(sys.modules) - known:
            if str(site) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]
