"""The command line: thin. Results go to standard output, words to standard error."""

import sys

import typer

from cavendish.cli import engines, generate, prompt, servers, usage
from cavendish.cli.accounts import credits_app, keys_app
from cavendish.cli.callbacks import callbacks_app, webhook_app
from cavendish.cli.common import fail
from cavendish.domain.errors import CavendishError

__all__ = ["app", "main"]

app = typer.Typer(
    help="Cavendish: a self-hosted image-generation API. / 自托管的图像生成 API。",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(servers.app)
app.add_typer(engines.app)
app.add_typer(usage.app)
app.add_typer(generate.app)
app.add_typer(prompt.app)
app.add_typer(keys_app, name="keys")
app.add_typer(credits_app, name="credits")
app.add_typer(callbacks_app, name="callbacks")
app.add_typer(webhook_app, name="webhook")


def main() -> None:
    """The `cavendish` program."""
    try:
        app()
    except CavendishError as error:
        fail(error)
    except KeyboardInterrupt:
        sys.exit(130)
