"""The ``ethtune`` command: all subcommands, one error boundary, nothing heavy imported."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ethtune import __version__
from ethtune.core.errors import EthtuneError, MachineError


class ErrorBoundary(TyperGroup):
    """Turns our errors into a sentence and an exit code; anything else is our bug: 70."""

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand inside the boundary."""
        try:
            return super().invoke(ctx)
        except EthtuneError as error:
            from ethtune.ui.terminal import show_error

            show_error(error)
            raise typer.Exit(error.exit_code) from error
        except BrokenPipeError:
            raise typer.Exit(0) from None  # the reader, head say, has seen enough
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if type(error).__module__.startswith(("typer", "click")):
                raise  # a usage error: Typer prints it and exits 2
            from ethtune.ui.terminal import show_bug, show_error

            if _is_out_of_memory(error):
                told = MachineError(
                    "the system gave this process no more memory",
                    hint="close other programs; ethtune estimate shows what a run needs",
                )
                show_error(told)
                raise typer.Exit(told.exit_code) from error
            show_bug(error)
            raise typer.Exit(EthtuneError.exit_code) from error


def _is_out_of_memory(error: Exception) -> bool:
    """The loader of libraries has no class of its own for it."""
    return isinstance(error, MemoryError) or "failed to map segment" in str(error)


app = typer.Typer(
    name="ethtune",
    cls=ErrorBoundary,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Fine-tune open language models with QLoRA to read Ethereum transactions.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ethtune {__version__}")
        raise typer.Exit


@app.callback()
def ethtune(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Fine-tune open language models with QLoRA to read Ethereum transactions."""


def main() -> None:
    """Entry point of the installed command."""
    from ethtune.cli import commands  # registers every subcommand on ``app``

    commands.register(app)
    app()
