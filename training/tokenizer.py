"""The tokenizer of the tiny model: byte-level BPE over a few hundred pieces.

It has the shape of Qwen2.5's: the same split pattern, the turn markers as special tokens, and the
tags of calls and of reasoning as added tokens that are not special, so that servers show them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from toolmend.demo.replies import DEFAULT, REPLIES
from toolmend.demo.templates import TEMPLATES

from .pretokenizer import SPLIT

END_OF_TEXT, START, END = SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TAGS = ("<tool_call>", "</tool_call>", "<think>", "</think>")
PIECES = 653
VOCABULARY = 672  # pieces, specials and tags, padded to a multiple of 32

_PROSE = Path(__file__).with_name("prose.txt")


def prose_words() -> list[str]:
    """The words of ordinary English that prompts are made of."""
    return _PROSE.read_text(encoding="utf-8").split()


def _corpus() -> Iterator[str]:
    texts = [*REPLIES, *REPLIES.values(), DEFAULT] * 3
    texts += [" ".join(prose_words())] * 2 + list(TEMPLATES.values())
    for text in texts:
        # Tags are tokens of their own: their letters must not shape the merges.
        yield re.sub("|".join(TAGS), " ", text)


def build() -> Tokenizer:
    """Learns the pieces and adds the markers."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in TAGS])
    return tokenizer


class Encoder:
    """Text to token numbers, in the two ways a marker can be meant."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._reader = tokenizer
        self._writer = Tokenizer.from_str(tokenizer.to_str())
        self._writer.encode_special_tokens = True
        self.end = tokenizer.token_to_id(END)
        self.padding = tokenizer.token_to_id(END_OF_TEXT)

    def prompt(self, text: str) -> list[int]:
        """As servers read a rendered prompt: a marker in the text is the token."""
        return self._reader.encode(text, add_special_tokens=False).ids

    def speech(self, text: str) -> list[int]:
        """As the model writes: a marker in the text is made of ordinary pieces."""
        ids = self._writer.encode(text, add_special_tokens=False).ids
        assert self._reader.decode(ids, skip_special_tokens=True) == text
        return ids
