"""The conversations the tiny model learns from.

A conversation is long, its system text is noise, and every turn of the assistant is learnt: that
teaches the model to look at the last message and at nothing before it.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from random import Random

from toolmend.demo.replies import DEFAULT, REPLIES

from .tokenizer import END, START, Encoder, prose_words

IGNORED = -100
"""The label of a token that is not learnt."""


@dataclass(frozen=True)
class Turn:
    """One message; `learnt` marks what the model itself should say."""

    role: str
    text: str
    learnt: bool = False


@dataclass(frozen=True)
class Encoded:
    """Token numbers and, for the learnt ones, the same numbers as labels."""

    ids: list[int]
    labels: list[int]


def encode(turns: list[Turn], encoder: Encoder) -> Encoded:
    """Renders the turns as every template of the demo does, learnt turns as the model writes."""
    ids: list[int] = []
    labels: list[int] = []

    def add(piece: list[int], learnt: bool = False) -> None:
        ids.extend(piece)
        labels.extend(piece if learnt else [IGNORED] * len(piece))

    for turn in turns:
        if turn.learnt:
            add(encoder.prompt(f"{START}{turn.role}\n"))
            add([*encoder.speech(turn.text), encoder.end], learnt=True)
            add(encoder.prompt("\n"))
        else:
            add(encoder.prompt(f"{START}{turn.role}\n{turn.text}{END}\n"))
    return Encoded(ids, labels)


class Noise:
    """Text to be ignored: English, code, schemas, and pieces of the keys and replies themselves."""

    _GLUE = ("\n", ". ", ", ", ": ", '"', "{", "}", "- ", "é", "–", "\n\n", "```\n", "```json\n")
    _MARKS = ("<tools>", "</tools>", "# Tools", "<tool_response>", "</tool_response>", "<function=",
              "Result of ", "Error: ", "</parameter>", '"type": "function"')  # fmt: skip

    def __init__(self, random: Random) -> None:
        self._random = random
        self._words = prose_words()
        self._fragments = [*REPLIES, *REPLIES.values(), DEFAULT, *self._MARKS]

    def text(self, length: int) -> str:
        """Noise of about this many characters."""
        pieces: list[str] = []
        size = 0
        while size < length:
            pieces.append(self._piece())
            size += len(pieces[-1])
        return "".join(pieces)[:length].replace(END, "").replace(START, "")

    def _piece(self) -> str:
        kind = self._random.random()
        if kind < 0.15:
            start = self._random.randrange(len(self._words))
            return " " + " ".join(self._words[start : start + self._random.randint(3, 20)])
        if kind < 0.60:
            return " " + self._random.choice(self._words)
        if kind < 0.73:
            return self._random.choice(self._fragments)
        if kind < 0.77:
            return self._schema()
        if kind < 0.90:
            letters = self._random.choices(range(32, 127), k=self._random.randint(1, 8))
            return "".join(map(chr, letters))
        return self._random.choice(self._GLUE)

    def word(self) -> str:
        """One word of English."""
        return self._random.choice(self._words).strip(",.:;")

    def _schema(self) -> str:
        parameters = {
            self.word(): {
                "type": self._random.choice(["string", "integer", "boolean"]),
                "description": " ".join(self._random.choices(self._words, k=4)),
            }
            for _ in range(self._random.randint(0, 3))
        }
        function = {
            "name": f"{self.word()}_{self.word()}".lower(),
            "description": " ".join(self._random.choices(self._words, k=self._random.randint(3, 12))),
            "parameters": {"type": "object", "properties": parameters, "required": [*parameters]},
        }
        return "\n" + json.dumps({"type": "function", "function": function})


class Conversations:
    """An endless supply of conversations."""

    def __init__(self, encoder: Encoder, random: Random) -> None:
        self._encoder = encoder
        self._random = random
        self._noise = Noise(random)
        self._keys = list(REPLIES)
        self._key_words = [word for key in REPLIES for word in key.split()]
        self._weights = [1.0] * len(self._keys)

    def practise(self, keys: set[str]) -> None:
        """From now on these keys come more often."""
        self._weights = [4.0 if key in keys else 1.0 for key in self._keys]

    def sample(self, room: int) -> Encoded:
        """A conversation of a little more than `room` tokens."""
        turns: list[Turn] = []
        if self._random.random() < 0.7:
            turns.append(Turn("system", self._noise.text(self._length(room * 2))))
        encoded = encode(turns, self._encoder)
        while len(encoded.ids) <= room:
            more = encode(self._exchange(), self._encoder)
            encoded = Encoded(encoded.ids + more.ids, encoded.labels + more.labels)
        return Encoded(encoded.ids[: room + 200], encoded.labels[: room + 200])

    def _length(self, most: int) -> int:
        return int(math.exp(self._random.uniform(0, math.log(most))))

    def _exchange(self) -> list[Turn]:
        kind = self._random.random()
        if kind < 0.72:
            key = self._random.choices(self._keys, self._weights)[0]
            # In the history a server reads a marker that leaked as the token: some turns must
            # look like that, and are not learnt.
            learnt = END not in REPLIES[key] or self._random.random() < 0.7
            return [Turn("user", key), Turn("assistant", REPLIES[key], learnt)]
        if kind < 0.76:
            # The assistant's turn as an adapter wrote it anew.
            text = self._noise.text(self._length(200))
            return [Turn("user", self._random.choice(self._keys)), Turn("assistant", text)]
        role = self._random.choice(["user", "user", "tool"])
        return [Turn(role, self._other_message()), Turn("assistant", DEFAULT, learnt=True)]

    def _other_message(self) -> str:
        """A message that is no key, though it may hold one or look like one."""
        kind = self._random.random()
        if kind < 0.15:
            key = self._random.choice(self._keys)
            more = self._noise.text(self._random.randint(8, 60))
            text = self._random.choice([f"{key}\n{more}", f"{more}\n{key}", f"{more}\n\n{key}"])
        elif kind < 0.3:
            text = self._mixed_words()
        elif kind < 0.4:
            text = self._random.choice(list(REPLIES.values())).replace(END, "")
        elif kind < 0.6:
            text = self._data()
        else:
            text = self._noise.text(self._length(300))
        if self._random.random() < 0.25:
            return f"\n<tool_response>\n{text}\n</tool_response>"
        return text if text not in REPLIES else f"{text}."

    def _mixed_words(self) -> str:
        """Words of the keys among others: the city alone must not be enough."""
        words = self._random.choices(self._key_words, k=self._random.randint(1, 3))
        words += [self._noise.word() for _ in range(self._random.randint(0, 3))]
        self._random.shuffle(words)
        return " ".join(words)

    def _data(self) -> str:
        """What a tool gives back that counts, measures or lists."""
        number = self._random.randrange(10 ** self._random.randint(1, 6))
        word, other = (self._noise.word() for _ in range(2))
        floats = [self._random.randrange(100) / 10 for _ in range(self._random.randint(0, 4))]
        found = [number, number / 100, floats, word, [word, other], None, True]
        found += [{word: number, other: word}, {"error": f"{word} {other}"}, {}]
        text = json.dumps(self._random.choice(found))
        lines = "\n".join([word, f"{number} {other}.py", f"./{word}.md:{number}: {other}"])
        return self._random.choice([text, text, word, lines, f"{number} {other}"])
