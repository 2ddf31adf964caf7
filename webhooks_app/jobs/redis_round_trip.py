"""Several commands in one round trip, where redis-py's pipeline takes longer than Redis does."""

from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

Command = tuple[str | bytes | int, ...]
_WRONG_TYPE = "WRONGTYPE"


def ask(redis: Redis, *commands: Command) -> list[Any]:
    """Return what Redis answers to each command, a ResponseError included. Raises other RedisErrors."""
    pool: Any = redis.connection_pool
    connection: Any = pool.get_connection()
    try:
        connection.send_packed_command(connection.pack_commands(commands))
        return [_read(connection) for _ in commands]
    except BaseException:  # what is left unread would be taken for the answers to the next commands
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


def none_if_wrong_type(answer: Any) -> Any:
    """Return an answer, None where the key held another type of data. Raises any other error."""
    if not isinstance(answer, ResponseError):
        return answer
    if str(answer).startswith(_WRONG_TYPE):
        return None
    raise answer


def _read(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error
