"""Errors that only the command line has."""

from __future__ import annotations

from bond_server.error_catalogue.entry import Entry

ENTRIES = (
    Entry(
        code="bad_fault",
        cause="A --fault can't be read.",
        remedy="It is written KIND:VENUE@START+LENGTH.",
        fix="bond demo --fault stall:binance@5s+30s",
    ),
    Entry(
        code="bad_file",
        cause="A file can't be read, or holds no spec.",
        remedy="`bond lint FILE` says in which line.",
        fix='bond listen "BTC price + volume every 1s"',
    ),
    Entry(
        code="bad_name",
        cause="A plugin can't be called so.",
        remedy="Use small letters, digits and -, and a name that nobody has.",
        fix="bond plugins new acme --kind poll",
    ),
    Entry(
        code="bad_recording",
        cause="A recording can't be played.",
        remedy="The error says why; a demo needs none.",
        fix="bond demo",
    ),
    Entry(
        code="builtin_plugin",
        cause="What is built in can't be left out.",
        remedy="Leave it as it is.",
        fix="bond plugins list",
    ),
    Entry(
        code="file_exists",
        cause="The file is there already, and a recording is never written over.",
        remedy="Name another.",
        fix="bond record 'BTC price every 1s' -o btc-2.gz",
    ),
    Entry(
        code="no_server",
        cause="No Bond server answers there.",
        remedy="Start one, or give the right --url.",
        fix="bond serve",
    ),
    Entry(
        code="not_empty",
        cause="The folder is there already; nothing is overwritten.",
        remedy="Name another.",
        fix="bond plugins new acme --kind poll --into acme-2",
    ),
    Entry(
        code="not_recordable",
        cause="A source brought something that a file can't hold, so the recording ends before it.",
        remedy="What is in the file plays. Tell the plugin's authors what the error says.",
        fix="bond plugins list",
    ),
    Entry(
        code="not_written",
        cause="A file can't be written: the disk is full, or the folder isn't yours.",
        remedy="Make room, or name a file elsewhere; what was written before plays.",
    ),
    Entry(
        code="plugins_listed",
        cause="BOND_PLUGINS lists all plugins that are used, so nothing else is asked.",
        remedy="Change it there, or unset it.",
        fix="bond plugins list",
    ),
    Entry(
        code="server",
        cause="The server could not be reached, or ended the connection.",
        remedy="Look at its log.",
        fix="bond serve",
    ),
    Entry(
        code="stream_failed",
        cause="A stream broke while it was recorded: a fault of Bond or of a plugin.",
        remedy="What is in the file plays. Tell the authors what the error says.",
        fix="bond plugins list",
    ),
    Entry(
        code="unknown_command",
        cause="There is no such command.",
        remedy="Use one of those listed.",
        fix="bond --help",
    ),
    Entry(
        code="unknown_error",
        cause="There is no error of this code.",
        remedy="`bond errors` lists all.",
        fix="bond errors",
    ),
    Entry(
        code="unknown_plugin",
        cause="No plugin of this name is installed.",
        remedy="Use one of those listed.",
        fix="bond plugins list",
    ),
)  # fmt: skip
