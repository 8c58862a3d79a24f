"""What the gateway adds, what it bears and what it survives: a process of `toolmend serve` before a local upstream.

usage: python benchmarks/gateway.py [latency] [load] [faults] [workers]      all of them without arguments
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from _table import write

SECONDS = 60
STREAMS = 500
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


@contextmanager
def process(*command: object) -> Iterator[tuple[subprocess.Popen, int]]:
    """A process that tells its port first."""
    with subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    ) as running:
        try:
            yield running, int(running.stdout.readline() if "serve" not in command else command[-1])
        finally:
            running.terminate()


@contextmanager
def both() -> Iterator[tuple[int, int, int]]:
    """The ports of an upstream and of a gateway before it, and the gateway's process."""
    serving = process(sys.executable, Path(__file__).parent / "_upstream.py")
    with serving as (_, upstream), gateway_before(upstream, 8911) as pid:
        yield upstream, 8911, pid


@contextmanager
def gateway_before(upstream: int, port: int, workers: int = 1) -> Iterator[int]:
    """A gateway before an upstream, and its process."""
    command = ("-m", "toolmend", "serve", "--upstream", f"http://127.0.0.1:{upstream}", "--workers", workers)
    with process(sys.executable, *command, "--port", port) as (running, _):
        while not healthy(port):
            assert running.poll() is None
            time.sleep(0.1)
        yield running.pid
        assert running.poll() is None, "the gateway has crashed"


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


def request(tools: Sequence[object] = TOOLS, **script: object) -> bytes:
    messages = [{"role": "user", "content": "Say it."}]
    return posted(json.dumps({"model": "m", "messages": messages, "tools": tools, "stream": True, "script": script}))


def posted(body: str | bytes) -> bytes:
    raw = body.encode() if isinstance(body, str) else body
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(raw)}\r\n\r\n"
    return head.encode() + raw


async def asked(port: int, raw: bytes, leave: int = 0) -> tuple[bytes, float, float]:
    """A reply, the seconds to its first text, and to its end; `leave` after so many bytes."""
    found, first, started = bytearray(), 0.0, time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    try:
        writer.write(raw)
        while data := await reader.read(1 << 16):
            found += data
            if not first and b'"content"' in found:
                first = time.perf_counter() - started
            if found.endswith(b"\r\n0\r\n\r\n") or 0 < leave < len(found):
                break
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()
    return bytes(found), first, time.perf_counter() - started


def meant(reply: bytes) -> tuple[str, list[tuple[str, str]], list[str]]:
    """The text, the calls and why it ended: what two replies have to have in common."""
    text, calls, ends = "", [], []
    for line in reply.split(b"\n"):
        if not line.startswith(b"data: {"):
            ends += ["[DONE]"] if line.startswith(b"data: [DONE]") else []
            continue
        chunk = json.loads(line[6:])
        ends += ["error"] if "error" in chunk else []
        for choice in chunk.get("choices", ()):
            text += choice["delta"].get("content") or ""
            calls += [tuple(call["function"].values()) for call in choice["delta"].get("tool_calls") or ()]
            ends += [choice["finish_reason"]] if choice["finish_reason"] else []
    return text, calls, ends


async def latency(upstream: int, port: int, pid: int) -> list[tuple[str, ...]]:
    rows = []
    for name, script, rounds in (
        ("100 tokens, 200 a second", {"words": 100, "pace": 0.005}, 21),
        ("100 tokens, 50 a second", {"words": 100, "pace": 0.02}, 8),
        ("1000 tokens at once", {"words": 1000, "pace": 0}, 21),
    ):
        raw, plain = request(**script), request((), **script)
        burnt, found = 0.0, []
        for _ in range(rounds):
            ways = [(await asked(at, body))[1:] for at, body in ((upstream, raw), (port, plain))]
            before = processor(pid)
            found.append([*ways, (await asked(port, raw))[1:]])
            burnt += processor(pid) - before
        first = statistics.median(through[0] - direct[0] for direct, _, through in found)
        passed = statistics.median(passing[0] - direct[0] for direct, passing, _ in found)
        bare = statistics.median(direct[1] for direct, _, _ in found)
        share = statistics.median(through[1] / direct[1] - 1 for direct, _, through in found)
        token = burnt / rounds / script["words"] * 1e6
        added = f"{share:+.1%}" if script["pace"] else f"{bare * share * 1e3:.0f} ms"
        firsts = f"{first * 1e3:.2f} ms", f"{passed * 1e3:.2f} ms"
        rows.append((name, *firsts, f"{token:.0f} µs", f"{bare * 1e3:.0f} ms", added))
    return rows


async def load(upstream: int, port: int, pid: int) -> list[tuple[str, ...]]:
    script = {"words": 40, "pace": 0.4, "call": True}
    alone = meant((await asked(port, request(words=40, pace=0, call=True)))[0])
    assert alone[1] == [("get_weather", '{"city": "Paris"}')], alone
    firsts: list[float] = []
    wrong, count, stop = 0, 0, time.monotonic() + SECONDS

    async def client() -> None:
        nonlocal wrong, count
        await asyncio.sleep(random.uniform(0, 5))
        while time.monotonic() < stop:
            reply, first, _ = await asked(port, request(**script))
            wrong += meant(reply) != alone
            count += 1
            firsts.append(first)

    clients = [asyncio.create_task(client()) for _ in range(STREAMS)]
    await asyncio.sleep(SECONDS / 3)
    warm, burnt, since = memory(pid), processor(pid), time.monotonic()
    await asyncio.gather(*clients)
    busy = (processor(pid) - burnt) / (time.monotonic() - since)
    end = memory(pid)
    assert not wrong, f"{wrong} of {count} replies are wrong"
    fastest = await flood(port)
    return [
        ("streams at once, for so long", f"{STREAMS}, {SECONDS} s"),
        ("replies, of them wrong or failed", f"{count}, {wrong}"),
        ("median to the first token, 99th percentile", f"{percent(firsts, 50)} ms, {percent(firsts, 99)} ms"),
        ("processor", f"{busy:.0%} of one core"),
        ("memory after warm-up, at the end", f"{warm:.0f} MB, {end:.0f} MB ({end / warm:.2f} times)"),
        ("where one process saturates", f"{fastest:.0f} tokens a second"),
    ]


async def flood(port: int) -> float:
    """Tokens a second, when more comes than can be borne."""
    raw, begun = request(words=400, pace=0), time.monotonic()

    async def client(number: int) -> tuple[bytes, float, float]:
        await asyncio.sleep(number * 0.005)  # who listens takes all that come at the same moment
        return await asked(port, raw)

    replies = await asyncio.gather(*map(client, range(50)))
    seconds = time.monotonic() - begun
    assert all(meant(reply)[2] == ["stop", "[DONE]"] for reply, _, _ in replies)
    return 50 * 400 / seconds


async def workers(upstream: int, port: int, pid: int) -> list[tuple[str, ...]]:
    with gateway_before(upstream, port + 1, workers=2):
        pairs = [(await flood(port), await flood(port + 1)) for _ in range(5)]
    one, two = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    ratio = statistics.median(double / single for single, double in pairs)
    return [("1", f"{one:.0f}", ""), ("2", f"{two:.0f}", f"{ratio:.2f}")]


def percent(values: list[float], share: int) -> str:
    return f"{statistics.quantiles(values, n=100)[share - 1] * 1e3:.1f}"


def memory(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connections(pid: int) -> int:
    return sum(os.readlink(link).startswith("socket:") for link in Path(f"/proc/{pid}/fd").iterdir())


async def settled(port: int, pid: int) -> int:
    """The connections that are left when everything is over."""
    await asyncio.sleep(3)
    await asked(port, request(words=1, pace=0))  # hangs up on idle connections to the upstream, and leaves one
    await asyncio.sleep(0.5)
    return connections(pid)


async def faults(upstream: int, port: int, pid: int) -> list[tuple[str, ...]]:
    dice = random.Random(1)
    before = await settled(port, pid)
    cut = [meant((await asked(port, request(words=5, pace=0, call=True, cut=True)))[0]) for _ in range(100)]
    honest = sum(ends == ["error"] for _, _, ends in cut)
    executed = sum(bool(calls) for _, calls, _ in cut)
    for _ in range(100):
        await asked(port, request(words=10_000, pace=0.001), leave=dice.randrange(300, 3000))
    good = request(words=1, pace=0)
    statuses: dict[str, int] = {}
    for _ in range(20):  # fifty at a time
        for reply in await asyncio.gather(*(quiet(port, damaged(good, dice, n % 2 == 0)) for n in range(50))):
            status = reply[9:12].decode() or "none"
            statuses[status] = statuses.get(status, 0) + 1
    left = await settled(port, pid) - before
    assert healthy(port)
    kinds = ", ".join(f"{status}: {times}" for status, times in sorted(statuses.items()))
    return [
        ("upstream dropped in mid-stream, told as an error", f"{len(cut)}, {honest}"),
        ("calls made of what was cut", str(executed)),
        ("clients gone in mid-stream, connections left open", f"100, {left}"),
        ("damaged requests, answers by status", f"1000 ({kinds})"),
    ]


def damaged(raw: bytes, dice: random.Random, whole: bool) -> bytes:
    """A request with a few wrong bytes, in all of it or only in its body."""
    changed = bytearray(raw if whole else raw.partition(b"\r\n\r\n")[2])
    for _ in range(dice.randrange(1, 9)):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed) if whole else posted(bytes(changed))


async def quiet(port: int, raw: bytes) -> bytes:
    """The answer to what may be no request; the client says when it has no more to say."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(raw)
        return await asyncio.wait_for(reader.read(1 << 16), 2)
    except (TimeoutError, ConnectionError):
        return b""
    finally:
        writer.transport.abort()


def main() -> None:
    wanted = sys.argv[1:] or ["latency", "load", "faults", "workers"]
    with both() as (upstream, port, pid):
        if "latency" in wanted:
            added = ("added to the first token", "the same without tools")
            header = ("reply", *added, "processor time a token", "whole, direct", "whole, added")
            write("gateway-latency", header, asyncio.run(latency(upstream, port, pid)))
        if "load" in wanted:
            write("gateway-load", ("under load", ""), asyncio.run(load(upstream, port, pid)))
        if "faults" in wanted:
            write("gateway-faults", ("faults", ""), asyncio.run(faults(upstream, port, pid)))
        if "workers" in wanted:
            header = ("`--workers`", "tokens a second", "ratio")
            write("gateway-workers", header, asyncio.run(workers(upstream, port, pid)))


if __name__ == "__main__":
    main()
