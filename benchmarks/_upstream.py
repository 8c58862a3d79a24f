"""An upstream that says what each request asks for, run as a process of its own: `python _upstream.py` prints its port.

A request's field `script` holds: `words`, how many it says; `pace`, the seconds between them; `call`, whether a tool
call follows; `cut`, whether the connection is dropped in the middle of that.
"""

from __future__ import annotations

import asyncio
import json

CALL = '\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def event(text: str, finish: str | None = None) -> bytes:
    delta = {"content": text} if text else {}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}
    return chunked(b"data: " + json.dumps(chunk).encode() + b"\n\n")


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


WORD, STOP, END = event("well, "), event("", "stop"), chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n"
CALLS = [event(CALL[start : start + 8]) for start in range(0, len(CALL), 8)]


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
            body = json.loads(await reader.readexactly(length))
            await answer(writer, **body["script"])
    except (asyncio.IncompleteReadError, ConnectionError, ValueError, KeyError, TypeError):
        pass
    finally:
        writer.transport.abort()


async def answer(writer: asyncio.StreamWriter, words: int, pace: float, call: bool = False, cut: bool = False) -> None:
    writer.write(HEAD)
    for _ in range(words):
        writer.write(WORD)
        await writer.drain()
        if pace:
            await asyncio.sleep(pace)
    for piece in CALLS[: len(CALLS) - 2 if cut else None] if call else ():
        writer.write(piece)
    await writer.drain()
    if cut:
        await asyncio.sleep(0.01)
        raise ConnectionError
    writer.write(STOP + END)
    await writer.drain()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=2000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
