"""``lambda-router chat``."""

import json
import os
import stat
import sys
from collections.abc import Sequence

import click

from lambda_router import environment, servers, tokens
from lambda_router.calling import chatting
from lambda_router.calling.api import Api
from lambda_router.calling.chatting import Chat, Question
from lambda_router.calling.steps import Ended, output_text
from lambda_router.calling.terminal import READER_LEFT, drop_output, is_terminal, one_line, unwritable, write_text
from lambda_router.commands.options import json_option, say, server_option
from lambda_router.errors import JobFailed, KitError

#: More than any server takes, so that endless input ends with a message.
_MAX_INPUT_BYTES = 16 * 1024 * 1024


@click.command()
@click.argument("text", nargs=-1)
@click.option(
    "-m", "--model", envvar=environment.MODEL, show_envvar=True, help="Model; may be omitted if there is only one."
)
@click.option("-s", "--system", metavar="TEXT", help="Instructions that go before the text.")
@server_option
@json_option
def command(text: tuple[str, ...], model: str | None, system: str | None, server: str | None, as_json: bool) -> int:
    """Ask a model, and see its words as they come.

    TEXT and what is piped in are sent together; - reads standard input, too. Only the answer goes to standard output.
    Ctrl-C cancels the job, a second one leaves at once.

    \b
      lambda-router chat -m tinyllama "Why is the sky blue?"
      git diff | lambda-router chat "Review this:"

    --json writes one response object of the OpenAI API, with output_text, once the job has ended.
    """
    asked = _whole_text(text)
    api = Api(tokens.found_server(server))
    try:
        question = Question(model or chatting.only_model(api), asked, system)
        return _answered(api, question, as_json)
    finally:
        api.close()


def _answered(api: Api, question: Question, as_json: bool) -> int:
    job_id = chatting.ask(api, question, say)
    try:
        ended = Chat(api, job_id, say, is_silent=as_json).read()
        if as_json:
            document = chatting.response(api, job_id)
            write_text(json.dumps(document | {"output_text": output_text(document)}) + "\n")
    except KeyboardInterrupt:
        say("\nCancelling. Ctrl-C again leaves at once.")
        chatting.cancel(api, job_id, say)
        return chatting.INTERRUPTED
    except BrokenPipeError:
        drop_output()
        chatting.cancel(api, job_id, say)
        return READER_LEFT
    except OSError as error:
        drop_output()
        say(_later(api, job_id))
        raise unwritable(error) from None
    except KitError:
        say(_later(api, job_id))
        raise
    _judge(ended, job_id)
    return 0


def _later(api: Api, job_id: str) -> str:
    return f"lambda-router show{servers.option_for(api.server)} {job_id} says how the job stands."


def _judge(ended: Ended, job_id: str) -> None:
    """Say why an answer is not complete. Raises JobFailed if there is none."""
    if ended.status == "incomplete":
        say(f"The answer was cut off: {one_line(ended.reason, 200) or 'no reason given'}.")
    elif ended.status != "completed":
        reason = f": {one_line(ended.reason, 600)}" if ended.reason else ""
        raise JobFailed(f"{job_id} {'failed' if ended.status == 'failed' else f'is {ended.status}'}{reason}")


def _whole_text(arguments: Sequence[str]) -> str:
    """Return what is asked: the arguments, and standard input behind them. Raises UsageError if that is nothing."""
    parts = [" ".join(each for each in arguments if each != "-")]
    if "-" in arguments or _is_piped():
        parts.append(_standard_input())
    elif not parts[0] and is_terminal(sys.stdin):
        raise click.UsageError("There is no TEXT: give it as an argument, or pipe it in.")
    text = "\n\n".join(part for part in parts if part.strip())
    if not text:
        raise click.UsageError("There is no TEXT: give it as an argument, or pipe it in.")
    return text


def _is_piped() -> bool:
    """Return whether standard input is a pipe or a file. A service's socket or /dev/null says nothing."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (AttributeError, OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _standard_input() -> str:
    if sys.stdin is None:
        raise click.UsageError("Standard input is closed.")
    content = sys.stdin.buffer.read(_MAX_INPUT_BYTES + 1)
    if len(content) > _MAX_INPUT_BYTES:
        raise click.UsageError(f"Standard input has more than {_MAX_INPUT_BYTES} bytes.")
    try:
        return content.decode("utf-8-sig").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise click.UsageError(
            f"Standard input is not UTF-8 at byte {error.start}: convert it, such as with iconv."
        ) from None
