from __future__ import annotations

import importlib

import pytest

from bond_core.errors import LimitError, Problem, RequestError
from bond_server import cli
from bond_server.cli import COMMANDS, main, render_error


def test_help_lists_the_commands_and_shows_examples(capsys):
    """
    `bond --help` says what each command does and gives lines to paste.
    """
    assert main(["--help"]) == 0
    said = capsys.readouterr().out

    for name, (_, says) in COMMANDS.items():
        assert name in said
        assert says in said
    assert 'bond listen "' in said


def test_no_command_is_a_wrong_command(capsys):
    """
    `bond` alone shows the help, and that nothing was done.
    """
    assert main([]) == 2
    assert "usage: bond" in capsys.readouterr().out


def test_an_unknown_command_has_a_suggestion(capsys):
    """
    A slip of the finger is named, with what was meant, and ends with 2.
    """
    assert main(["sevre"]) == 2
    assert "try: bond serve" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_of_itself_what_the_table_says(name):
    """
    The table is written by hand so that help loads nothing; it must not drift.
    """
    module = importlib.import_module(COMMANDS[name][0])

    assert (name, COMMANDS[name][1]) == (module.NAME, module.HELP)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples(name, capsys):
    """
    `bond COMMAND --help` ends with 0 and shows lines to paste.
    """
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])

    assert ended.value.code == 0
    assert "examples:" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["serve", "--port", "x"], ["serve", "--nothing"], ["secret"]])
def test_wrong_arguments_end_with_2(words, capsys):
    """
    The command was wrong, and stderr says how.
    """
    with pytest.raises(SystemExit) as ended:
        main(words)

    assert ended.value.code == 2
    assert f"bond {words[0]}" in capsys.readouterr().err


def test_an_option_that_there_is_not_has_a_suggestion(capsys):
    """
    As a command has; and nothing is suggested for what is like no other.
    """
    for words, said in ((["listen", "BTC price", "--limt", "3"], "did you mean --limit?"),
                        (["plugins", "list", "--jsn"], "did you mean --json?")):  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["listen", "BTC price", "--wholly-else"])
    assert "did you mean" not in capsys.readouterr().err


def test_a_new_secret_is_printed(capsys):
    """
    It is 64 hex digits on a line of its own, for a shell to take.
    """
    assert main(["secret", "new"]) == 0

    assert len(bytes.fromhex(capsys.readouterr().out)) == 32


def test_serving_others_unprotected_is_refused(capsys, monkeypatch, tmp_path):
    """
    It ends with 78 before it listens, and says what to set and how to make it.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BOND_SECRET", raising=False)

    assert main(["serve", "--host", "192.0.2.1", "--port", "0"]) == 78
    said = capsys.readouterr().err
    assert "error[unsafe_bind]" in said
    assert "bond secret new" in said
    assert "BOND_OPEN=1" in said


def test_a_setting_that_makes_no_sense_is_an_error(capsys, monkeypatch, tmp_path):
    """
    It is named, from the `.env` as from the environment, and the status is 1.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli.os, "environ", {})
    (tmp_path / ".env").write_text("BOND_TOKEN_TTL=soon\n")

    assert main(["serve", "--port", "0"]) == 1
    assert "BOND_TOKEN_TTL must be a whole number" in capsys.readouterr().err


def test_an_error_shows_the_words_and_a_command_that_works():
    """
    The sentence, the span underlined, what may have been meant, and the line to paste.
    """
    text = "BTC price on binanse every 5s"
    error = RequestError(
        'I don\'t know the exchange "binanse"',
        code="unknown_exchange",
        problems=[Problem(detail="unknown", span=(13, 20), did_you_mean=("binance",))],
        fix="BTC price on binance every 5s",
    )  # fmt: skip

    assert render_error(error, text=text, command="listen").splitlines() == [
        'error[unknown_exchange]: I don\'t know the exchange "binanse"',
        "  BTC price on binanse every 5s",
        "               ^^^^^^^ did you mean binance?",
        '  try: bond listen "BTC price on binance every 5s"',
    ]


def test_an_error_in_a_spec_shows_the_places():
    """
    Without a sentence the problems stand under their pointers.
    """
    error = RequestError(
        "/spec/intervall: unknown key 'intervall' (and 1 more)",
        code="invalid_spec",
        problems=[
            Problem(detail="unknown key 'intervall'", pointer="/spec/intervall",
                    did_you_mean=("interval_sec",)),
            Problem(detail="is required", pointer="/spec/sources"),
        ],
        fix='{"sources": [{"type": "ccxt"}]}',
    )  # fmt: skip

    assert render_error(error, command="lint").splitlines() == [
        "error[invalid_spec]: /spec/intervall: unknown key 'intervall' (and 1 more)",
        "  /spec/intervall: did you mean interval_sec?",
        "  /spec/sources: is required",
        '  try: {"sources": [{"type": "ccxt"}]}',
    ]


def test_text_that_moves_the_cursor_does_not():
    """
    What a sentence holds of control characters is not sent to the terminal.
    """
    error = RequestError("no \x1b[2J", problems=[Problem(detail="no", span=(0, 2))])

    assert "\x1b" not in render_error(error, text="a\x1b[2J\r\nb")


def test_an_error_without_more_to_say_leads_to_the_catalogue():
    """
    No empty hints; a third party's code stands alone.
    """
    error = LimitError("5 of 5 streams are in use", limit=5, used=5)

    assert render_error(error).splitlines() == [
        "error[limit]: 5 of 5 streams are in use",
        "  more: bond errors limit",
    ]
    assert render_error(RequestError("shut", code="acme_shut")) == "error[acme_shut]: shut"
