"""Errors of the installation: settings, plugins, folders, secrets."""

from __future__ import annotations

from bond_server.error_catalogue.entry import Entry

ENTRIES = (
    Entry(
        code="bad_expression", status=422,
        cause="A plugin's formula can't be read.",
        remedy="The error says where; mend the plugin.",
        fix="bond plugins doctor",
    ),
    Entry(
        code="bad_snapshot",
        cause="What was kept of a running stream is damaged, or another version's.",
        remedy="Nothing: the stream starts afresh, and says so.",
    ),
    Entry(
        code="data_dir_taken",
        cause="Another server keeps its streams in this directory.",
        remedy="End that one, or use another directory.",
        fix="BOND_DATA_DIR=$HOME/.local/share/bond-2 bond serve --port 8001",
    ),
    Entry(
        code="invalid_settings", status=422,
        cause="A setting's value makes no sense.",
        remedy="The error names the setting and what it takes.",
        fix="bond doctor",
    ),
    Entry(
        code="not_installed", status=422,
        cause="No installed plugin provides what was asked for.",
        remedy="The error names the package that does.",
        fix="pip install -r requirements.txt",
    ),
    Entry(
        code="plugin", status=422,
        cause="A plugin does not keep the contract that it registered under.",
        remedy="Mend it; the conformance kit says where.",
        fix="bond plugins doctor",
    ),
    Entry(
        code="secret_in_recording",
        cause="What was recorded for a test holds something secret; nothing was written.",
        remedy="Record with a key that may be seen.",
    ),
    Entry(
        code="setup", status=422,
        cause="The installation, a setting or a key keeps it from working.",
        remedy="The error says what to change.",
        fix="bond doctor",
    ),
    Entry(
        code="storage", status=503, again=True,
        cause="What must outlive the server can't be written, or read.",
        remedy="Look at the disk and at the folder's owner.",
        fix="bond doctor",
    ),
    Entry(
        code="unsafe_bind",
        cause="Others could reach the server, and it has no good secret or no API key.",
        remedy="Make both, or bind to this machine only.",
        fix="bond serve --host 127.0.0.1",
    ),
)  # fmt: skip
