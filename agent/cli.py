"""The command `mahalla`: what people type.

Each command's own module adds its arguments and names the function that runs it; nothing heavy
is imported before the command is known.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from agent import __version__, check, demo, replay, run, schema
from agent.errors import AgentError, UsageError
from agent.evaluate import models_command
from agent.office import audit_command, hotlist_command, ota_command
from agent.site import command as site_command

_COMMANDS = (
    run,
    demo,
    replay,
    check,
    models_command,
    ota_command,
    hotlist_command,
    site_command,
    audit_command,
    schema,
)

_EPILOG = """\
example: mahalla check agent.yaml && mahalla run -c agent.yaml

exit codes: 0 ok, 1 a problem found, 2 wrong usage (run with a wrong configuration: 78)
"""


class _Parser(argparse.ArgumentParser):
    """Takes options as they are written, and says in one line what is wrong."""

    def __init__(self, **settings: Any) -> None:
        # An abbreviation that works today is a script that breaks with the next option.
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = _Parser(
        prog="mahalla",
        description="Edge agent for on-site cameras: faces counted, vehicles seen, events sent.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"mahalla-agent {__version__}")
    top.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in _COMMANDS:
        module.register(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; errors are one line on stderr."""
    if not (sys.argv[1:] if argv is None else argv):
        parser().print_help(sys.stderr)
        return 2
    args = argparse.Namespace(command="", debug=False)
    try:
        try:
            parser().parse_args(argv, args)
            code: int = args.run(args)
        finally:
            sys.stdout.flush()
        return code
    except AgentError as error:
        if args.debug:
            raise
        print(f"mahalla {args.command}: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `mahalla … | head` is no error
        _drop_stdout()
        return 0
    except OSError as error:  # a full disk behind stdout, say; what has a better word has said it
        if args.debug:
            raise
        _drop_stdout()
        name = f"mahalla {args.command}".strip()
        where = f"{error.filename}: " if error.filename else ""
        print(f"{name}: {where}{error.strerror or error}", file=sys.stderr)
        return 1


def _drop_stdout() -> None:
    """What is still unsaid goes nowhere; the interpreter would try once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
