"""The order in which ``ethtune --help`` lists the commands: that of a newcomer's first day."""

from __future__ import annotations

import typer

from ethtune.cli.doctor import doctor
from ethtune.cli.estimate import estimate
from ethtune.cli.evaluate import evaluate
from ethtune.cli.fetch import fetch
from ethtune.cli.monitor import monitor
from ethtune.cli.panels import PanelledCommand
from ethtune.cli.predict import predict
from ethtune.cli.prepare import prepare
from ethtune.cli.profiles import profiles
from ethtune.cli.resume import resume
from ethtune.cli.sample_data import sample_data
from ethtune.cli.train import train
from ethtune.cli.validate_data import validate_data


def register(app: typer.Typer) -> None:
    """Put every command on ``app``."""
    app.command("doctor")(doctor)
    app.command("sample-data")(sample_data)
    app.command("fetch")(fetch)
    app.command("prepare", cls=PanelledCommand)(prepare)
    app.command("validate-data")(validate_data)
    app.add_typer(profiles, name="profiles")
    app.command("estimate")(estimate)
    app.command("train")(train)
    app.command("resume")(resume)
    app.command("monitor")(monitor)
    app.command("evaluate")(evaluate)
    app.command("predict")(predict)
