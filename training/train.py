"""Trains the tiny model until it says every reply exactly, and writes it as one GGUF file.

python -m training.train [--out FILE] [--most-steps N] [--threads N]
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import Qwen2Config, Qwen2ForCausalLM

from toolmend.demo.replies import REPLIES
from toolmend.demo.templates import PLAIN

from . import tokenizer as tokenizers_
from .conversations import IGNORED, Conversations, Encoded, encode
from .situations import all_situations, asked
from .to_gguf import Checkpoint, write_gguf

OUT = Path(__file__).parents[1] / "src/toolmend/demo/model/tiny.gguf"
TOKENS_A_STEP = 4096
PEAK, FLOOR = 2.5e-3, 1e-4
WARM_UP, DECAY = 100, 1000
CHECK_EVERY = 50
# A reply counts as learnt when every token leads by this much: half precision and other kernels
# must not turn it.
MARGIN = 1.0
LONG = 400  # tokens


def make_model(encoder: tokenizers_.Encoder) -> Qwen2ForCausalLM:
    """A Qwen2 of about 360,000 parameters."""
    config = Qwen2Config(
        vocab_size=tokenizers_.VOCABULARY,
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=3,
        num_key_value_heads=1,
        max_position_embeddings=8192,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        # The default, 0.02, is for models ten times as wide: with it two keys that differ in one
        # rare word stay the same for hundreds of steps.
        initializer_range=0.08,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=encoder.end,
        pad_token_id=encoder.padding,
    )
    return Qwen2ForCausalLM(config)


def _batch(many: list[Encoded], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pads on the right: a causal model never sees it, so no mask is needed."""
    width = max(len(one.ids) for one in many)
    ids = torch.full((len(many), width), padding)
    labels = torch.full((len(many), width), IGNORED)
    for row, one in enumerate(many):
        ids[row, : len(one.ids)] = torch.tensor(one.ids)
        labels[row, : len(one.labels)] = torch.tensor(one.labels)
    return ids, labels


def _logits(model: Qwen2ForCausalLM, ids: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits of the learnt tokens alone, and those tokens."""
    hidden = model.model(input_ids=ids).last_hidden_state
    learnt = labels[:, 1:] != IGNORED
    return hidden[:, :-1][learnt] @ model.lm_head.weight.T, labels[:, 1:][learnt]


class Examination:
    """Asks for every reply in every situation.

    The right reply is given to the model and each of its tokens must be the model's first choice:
    what greedy decoding would say, found in one pass.
    """

    def __init__(self, encoder: tokenizers_.Encoder) -> None:
        self._encoder = encoder
        encoded = {name: encode(turns, encoder) for name, turns in all_situations().items()}
        by_length = sorted(encoded.items(), key=lambda item: len(item[1].ids))
        self._groups = [by_length[i : i + 16] for i in range(0, len(by_length), 16)]
        self.count = len(encoded)
        self._keys = {key: encode(asked(key), encoder) for key in REPLIES}

    @torch.no_grad()
    def failures(self, model: Qwen2ForCausalLM, *, stop_early: bool) -> dict[str, float]:
        """The situations without enough of a lead, and the lead each one has."""
        failed: dict[str, float] = {}
        for group in self._groups:
            # Long conversations go one by one: together they would take too much memory.
            alone = len(group[-1][1].ids) > LONG
            for some in [[one] for one in group] if alone else [group]:
                failed |= self._without_lead(model, dict(some), MARGIN)
            if failed and stop_early:
                break
        return failed

    @torch.no_grad()
    def weak_keys(self, model: Qwen2ForCausalLM) -> set[str]:
        """The keys that need practice even when nothing comes before them."""
        return set(self._without_lead(model, self._keys, 2 * MARGIN))

    def _without_lead(
        self, model: Qwen2ForCausalLM, conversations: dict[str, Encoded], margin: float
    ) -> dict[str, float]:
        ids, labels = _batch(list(conversations.values()), self._encoder.padding)
        logits, right = _logits(model, ids, labels)
        own = logits.gather(1, right[:, None])[:, 0]
        best_other = logits.scatter(1, right[:, None], -math.inf).amax(1)
        tokens = (labels[:, 1:] != IGNORED).sum(1).tolist()
        leads = [lead.min().item() for lead in (own - best_other).split(tokens)]
        return {n: lead for n, lead in zip(conversations, leads, strict=True) if lead < margin}


def _rate(step: int) -> float:
    warm = min(1.0, (step + 1) / WARM_UP)
    return max(FLOOR, PEAK * warm * (1 - step / DECAY))


def _rooms(step: int) -> list[int]:
    """Short conversations first; long ones once the replies are known."""
    return [256, 256, 512, 512, 1024] if step < DECAY // 2 else [64, 256, 512, 1024, 2048, 3584]


def _step(
    model: Qwen2ForCausalLM,
    optimizer: torch.optim.Optimizer,
    batch: tuple[torch.Tensor, torch.Tensor],
) -> float:
    logits, right = _logits(model, *batch)
    loss = torch.nn.functional.cross_entropy(logits, right)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def train(model: Qwen2ForCausalLM, encoder: tokenizers_.Encoder, most_steps: int, random: Random) -> int | None:
    """The number of steps it took, or None if the replies are still not exact."""
    conversations = Conversations(encoder, random)
    examination = Examination(encoder)
    # The mean of the last weights keeps its leads where the latest ones lose one now and then.
    mean_model = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.97))
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    start, losses = time.monotonic(), []
    for step in range(most_steps):
        for group in optimizer.param_groups:
            group["lr"] = _rate(step)
        room = random.choice(_rooms(step))
        many = [conversations.sample(room) for _ in range(max(1, TOKENS_A_STEP // room))]
        loss = _step(model, optimizer, _batch(many, encoder.padding))
        mean_model.update_parameters(model)
        losses.append(loss)
        done = step + 1
        if done % CHECK_EVERY == 0:
            mean = sum(losses[-CHECK_EVERY:]) / CHECK_EVERY
            weak = examination.weak_keys(mean_model.module)
            conversations.practise(weak)
            failed = examination.failures(mean_model.module, stop_early=True)
            print(
                f"{time.monotonic() - start:6.0f} s  step {done}  loss {mean:.4f}"
                f"  {len(weak)} keys are weak, for example {min(weak, default='none')!r}"
                f"; {next(iter(failed), 'no situation')!r} fails",
                flush=True,
            )
            if not failed:
                model.load_state_dict(mean_model.module.state_dict())
                return done
    _lament(examination, mean_model.module)
    return None


def _lament(examination: Examination, model: Qwen2ForCausalLM) -> None:
    failed = examination.failures(model, stop_early=False)
    for name, lead in sorted(failed.items(), key=lambda item: item[1])[:40]:
        print(f"{lead:8.2f}  {name!r}")
    print(f"{len(failed)} of {examination.count} situations are not exact")


def _checkpoint(model: Qwen2ForCausalLM, tokenizer: Tokenizer) -> Checkpoint:
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    tensors.pop("lm_head.weight")  # the same as the embeddings
    config = model.config.to_dict()
    config["rope_theta"] = config["rope_parameters"]["rope_theta"]
    return Checkpoint(config=config, tensors=tensors, tokenizer=tokenizer.to_str())


def main() -> int:
    """Trains and writes; the exit status says whether the model may be used."""
    arguments = argparse.ArgumentParser(description="Train the tiny model of toolmend.demo.")
    arguments.add_argument("--out", type=Path, default=OUT)
    arguments.add_argument("--most-steps", type=int, default=2000)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    torch.manual_seed(given.seed)
    torch.set_num_threads(given.threads)
    tokenizer = tokenizers_.build()
    encoder = tokenizers_.Encoder(tokenizer)
    model = make_model(encoder)
    print(f"{tokenizer.get_vocab_size()} tokens, {model.num_parameters()} parameters", flush=True)
    start = time.monotonic()
    steps = train(model, encoder, given.most_steps, Random(given.seed))
    if steps is None:
        return 1
    write_gguf(_checkpoint(model, tokenizer), given.out, PLAIN)
    size = given.out.stat().st_size
    print(f"exact after {steps} steps and {time.monotonic() - start:.0f} s; {size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
