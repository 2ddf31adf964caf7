"""`avra apply`: has the endpoints of a workspace be as a file says."""

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import NoReturn

import click

from webhooks_app.cli import (
    endpoint_file,
    endpoint_renames,
    plan_display,
    plan_execution,
    requested_plan,
    terminal,
)
from webhooks_app.cli.api_answers import ApiFailure
from webhooks_app.cli.api_client import ApiClient
from webhooks_app.cli.api_command import ApiCommand, print_failure, with_client
from webhooks_app.cli.api_output import json_line
from webhooks_app.cli.plan_execution import StepResult, StepState
from webhooks_app.cli.requested_plan import Leftover, Plan, StepAction
from webhooks_app.cli.secrets_file import SecretsFile, SecretsFileError
from webhooks_app.cli.yaml_nodes import LARGEST_BYTES, Problems
from webhooks_app.core.text_display import flatten

# As `terraform plan -detailed-exitcode` ends.
EXIT_PENDING = 2
EXIT_PARTLY = 1
EXIT_INTERRUPTED = 130
_COLORS = {"+": "green", "-": "red", "~": "yellow"}
_SCHEMA = Path(__file__).with_name("endpoints.schema.json")


def _print_schema(context: click.Context, _parameter: click.Parameter, is_asked: bool) -> None:
    if is_asked:
        click.echo(_SCHEMA.read_text(encoding="utf-8"), nl=False)
        context.exit()


@click.command(cls=ApiCommand, scopes=("endpoints:read", "endpoints:write"))
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--dry-run", is_flag=True, help="Show what would be done; status 2 if there is anything.")
@click.option("--prune", is_flag=True, help="Delete endpoints that the file managed and no longer has.")
@click.option("--release", is_flag=True, help="Let go of endpoints that the file managed and no longer has.")
@click.option("--take-over", is_flag=True, help="Also manage endpoints that something else manages.")
@click.option("--held", type=click.Choice(["send", "discard"]), help="For deliveries held while disabled.")
@click.option("--secrets-file", type=click.Path(path_type=Path), help="Add new signing secrets to it (0600).")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "is_json", is_flag=True, help="For programs: one JSON object.")
@click.option(
    "--schema", is_flag=True, is_eager=True, expose_value=False, callback=_print_schema,
    help="Print the JSON Schema of the file, for editors.",
)  # fmt: skip
@with_client
def apply(
    client: ApiClient,
    file: str,
    dry_run: bool,
    prune: bool,
    release: bool,
    take_over: bool,
    held: str | None,
    secrets_file: Path | None,
    yes: bool,
    is_json: bool,
) -> None:
    """Have a workspace's endpoints be as a file says.

    FILE may be "-", for standard input. Shows the difference, asks, and does it. Endpoints that no file
    manages, or another one, stay as they are unless FILE has their names.
    """
    if prune and release:
        _refuse("Say --prune or --release, not both.")
    leftover = Leftover.DELETE if prune else Leftover.RELEASE if release else Leftover.KEEP
    plan = _plan(client, file, leftover)
    if not is_json:
        _show(plan)
    if is_json and (dry_run or not plan.pending):
        click.echo(json_line(plan_display.as_json(plan)))
    if not plan.pending:
        sys.exit(os.EX_OK)
    _check(plan, take_over=take_over, held=held)  # also on a dry run: what passes there is not refused later
    if dry_run:
        sys.exit(EXIT_PENDING)
    _ask(plan, may_ask=file != "-" and not is_json and sys.stdin.isatty(), yes=yes)
    sys.exit(_execute(client, plan, held=held, secrets_file=secrets_file, is_json=is_json))


def _plan(client: ApiClient, file: str, leftover: Leftover) -> Plan:
    """Return the plan, or print all that is wrong with the file and end."""
    name = Path(file).name
    problems = Problems(file if file != "-" else "standard input")
    try:
        with click.open_file(file, "rb") as opened:
            raw = opened.read(LARGEST_BYTES + 1)
    except OSError as error:
        problems.report(f"cannot be read: {error.strerror}")
        _end(problems)
    declared = endpoint_file.read(raw, "" if file == "-" else name, os.environ, problems)
    if declared is None:
        _end(problems)
    endpoint_renames.check(declared.endpoints.values(), problems)
    if problems.found:
        _end(problems)
    plan = requested_plan.make(client, declared, leftover, problems)
    if problems.found:
        _end(problems)
    return plan


def _end(problems: Problems) -> NoReturn:
    found = sorted(problems.found, key=lambda each: (each.line or 0, each.column or 0))
    lines = [flatten(str(problem)) for problem in found]
    if _is_json():
        print_failure("invalid_file", lines[0], problems=lines)
    else:
        click.echo("\n".join([*lines, "Nothing was changed."]), err=True)
    sys.exit(os.EX_DATAERR)


def _show(plan: Plan) -> None:
    for line in plan_display.lines(plan):
        color = _COLORS.get(line.strip()[:1])
        click.echo(terminal.colored(line, color) if color else line)


def _check(plan: Plan, *, take_over: bool, held: str | None) -> None:
    """End where something has to be said first."""
    if plan.unmatched and plan.with_action(StepAction.DELETE):
        _refuse(_unmatched(plan))
    others = [step for step in plan.pending if step.manager_before not in (None, plan.managed_by)]
    if others and not take_over:
        names = ", ".join(f"{flatten(each.name)} ({flatten(each.manager_before or '')})" for each in others)
        _refuse(f"Something else manages {names}: say --take-over, or take them out of the file.")
    waiting = [step for step in plan.pending if step.held]
    if waiting and held is None:
        names = ", ".join(f"{flatten(each.name)} ({each.held})" for each in waiting)
        _refuse(f"Deliveries were held for {names}: say --held send or --held discard.")


def _unmatched(plan: Plan) -> str:
    """Return why nothing is deleted: it may be what was to be renamed."""
    text = "; ".join(
        f"{flatten(name)} is renamed from {flatten(' or '.join(before))}, and no endpoint is named so"
        for name, before in plan.unmatched.items()
    )
    gone = ", ".join(flatten(step.name) for step in plan.with_action(StepAction.DELETE))
    return (
        f"{text}. Is it one of those that would be deleted ({gone})? Correct renamed_from, or take it out, "
        "or apply without --prune first."
    )


def _ask(plan: Plan, *, may_ask: bool, yes: bool) -> None:
    """Ask a person; where there is none, only deletions need a word in advance."""
    if yes:
        return
    if may_ask:
        if not click.confirm("Do this?"):
            click.echo("Nothing was changed.", err=True)
            sys.exit(EXIT_PARTLY)
    elif plan.with_action(StepAction.DELETE):
        _refuse("Endpoints would be deleted, and there is nobody to ask: say --yes.")


def _refuse(message: str) -> NoReturn:
    if _is_json():
        print_failure("usage", message)
    else:
        click.echo(f"error: {message}\nNothing was changed.", err=True)
    sys.exit(os.EX_USAGE)


def _is_json() -> bool:
    return bool(click.get_current_context().params["is_json"])


def _execute(
    client: ApiClient, plan: Plan, *, held: str | None, secrets_file: Path | None, is_json: bool
) -> int:
    """Do it, print what became of each step, and return the status to end with."""
    results: list[StepResult] = []
    secrets = _open(secrets_file)
    is_interrupted = False
    with secrets or nullcontext():
        try:
            for result in plan_execution.execute(client, plan, results, held=held, secrets=secrets):
                if not is_json:
                    click.echo(_result_line(result))
        except KeyboardInterrupt:
            is_interrupted = True
        except SecretsFileError as error:
            click.echo(f"error: {flatten(str(error))}", err=True)
    if is_json:
        plan_and_results = plan_display.as_json(plan) | {"results": [_result_json(each) for each in results]}
        click.echo(json_line(plan_and_results))
    else:
        _summarize(plan, results, secrets)
    if is_interrupted:
        return EXIT_INTERRUPTED
    return os.EX_OK if all(each.outcome is StepState.DONE for each in results) else EXIT_PARTLY


def _open(path: Path | None) -> SecretsFile | None:
    try:
        return SecretsFile(path) if path else None
    except SecretsFileError as error:
        if _is_json():
            print_failure("secrets_file", str(error))
        else:
            click.echo(f"error: {error}\nNothing was changed.", err=True)
        sys.exit(error.exit_code)


def _result_line(result: StepResult) -> str:
    text = f": {result.failure}" if result.failure else ""
    return f"{result.outcome.capitalize()}: {result.step.action} {flatten(result.step.name)}{text}"


def _result_json(result: StepResult) -> dict[str, object]:
    failure: ApiFailure | None = result.failure
    error = failure.as_json() if failure else None
    return {
        "name": result.step.name,
        "action": result.step.action,
        "outcome": result.outcome,
        "error": error,
    }


def _summarize(plan: Plan, results: list[StepResult], secrets: SecretsFile | None) -> None:
    """Say what is not done, and where new signing secrets are."""
    new = [
        each for each in results if each.step.action is StepAction.CREATE and each.outcome is StepState.DONE
    ]
    if secrets and secrets.written:
        endpoints = "endpoint" if secrets.written == 1 else "endpoints"
        click.echo(f"Signing secrets of {secrets.written} new {endpoints}: in {secrets.path}.")
    elif new:
        click.echo("New signing secrets: on the Verify tab of each endpoint, or over the API.")
    counts = {outcome: sum(each.outcome is outcome for each in results) for outcome in StepState}
    if counts[StepState.DONE] == len(results):
        click.echo(f"Done: {len(results)}.")
        return
    text = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    click.echo(f"{text}. Run it again: it does what is left.", err=True)
