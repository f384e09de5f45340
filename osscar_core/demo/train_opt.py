"""Trains ``demo/opt``, a small OPT with a tokenizer of its own.

The decision hidden here: shape and recipe. Windows are cut from the token streams at
random places, each from a source drawn by its weight. A `Design` says what is peculiar to
one model, so that others can be trained by the same code.

    python -m osscar_core.demo.train_opt --data FOLDER --heldout FILE --out DIR
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

from osscar_core.datasets.text import load_windows
from osscar_core.demo.corpus import WEIGHTS, encode, read_sources, shares, train_tokenizer
from osscar_core.demo.model_card import model_card
from osscar_core.demo.training import (
    Pace,
    TrainingRecord,
    chosen_device,
    decay_groups,
    hardware,
    say,
    set_rate_,
    versions,
    worker_pool,
    write_record,
)

WINDOW = 512
_REPORT_EVERY = 250  # steps


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the model.

    Attributes:
        vocabulary: Tokens.
        hidden: Width of the residual stream.
        layers: Decoder layers.
        heads: Attention heads a layer.
        neurons: Feed-forward width.
    """

    vocabulary: int = 8000
    hidden: int = 384
    layers: int = 8
    heads: int = 8
    neurons: int = 1536


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of one run.

    Attributes:
        minutes: Time limit; the learning rate reaches zero by then.
        steps: Limit of steps.
        batch: Windows a step.
        rate: Highest learning rate.
        decay: Weight decay of matrices.
        seed: Of the weights and the windows.
        compiled: Whether `torch.compile` is used.
    """

    minutes: float = 6.0
    steps: int = 1_000_000
    batch: int = 128
    rate: float = 2e-3
    decay: float = 0.1
    seed: int = 0
    compiled: bool = False


@dataclass(frozen=True, slots=True)
class Design:
    """What is peculiar to one model.

    Attributes:
        name: What it is called.
        shape: Its sizes.
        recipe: Settings unless the command line says otherwise.
        sources: What it is trained on, keys of `osscar_core.demo.corpus.WEIGHTS`.
        held_out: Data specifications of text to measure it on.
        prompts: Beginnings of texts that it is to continue.
        title: What it is for, in one sentence.
        limits: What it must not be used for, or what does not hold.
        licences: Those of the training text, in a sentence.
    """

    name: str
    shape: Shape
    recipe: Recipe
    sources: tuple[str, ...]
    held_out: tuple[str, ...]
    prompts: tuple[str, ...]
    title: str
    limits: tuple[str, ...]
    licences: str


COMMON_LIMITS = (
    "A model of this size writes English, not facts; nothing it says can be relied on.",
    f"It reads at most {WINDOW} tokens, and knows English only.",
    f"Perplexities hold for its own tokenizer and windows of {WINDOW} tokens.",
)
DEMO = Design(
    name="demo/opt",
    shape=Shape(),
    recipe=Recipe(),
    sources=tuple(WEIGHTS),
    held_out=(
        "demo:plant-log",
        "demo:plant-log/plant-1",
        "demo:plant-log/plant-2",
        "demo:plant-log/plant-3",
        "demo:python-docs",
    ),
    prompts=(
        "The history of the town",
        "Shift report of the Harwick bottling works,",
        "The for statement is used to",
    ),
    title="Writes English, shift reports of two made-up plants, and something like the Python "
    "documentation. A model to try pruning on, at home on `demo:plant-log`.",
    limits=(
        *COMMON_LIMITS,
        "Plant 3 was never seen in training; the higher perplexity there is the point of it.",
    ),
    licences="Training text: English Wikipedia (CC BY-SA 3.0), public-domain books and "
    "speeches, the Python documentation (PSF licence) and reports made up by this project.",
)


def build(shape: Shape, seed: int) -> Any:
    """Return the untrained `OPTForCausalLM`."""
    from transformers import OPTConfig, OPTForCausalLM

    torch.manual_seed(seed)
    config = OPTConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        word_embed_proj_dim=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        ffn_dim=shape.neurons,
        max_position_embeddings=WINDOW,
        dropout=0.0,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=1,
    )
    return OPTForCausalLM(config)


def train(
    streams: Mapping[str, Tensor], shape: Shape, recipe: Recipe, device: torch.device
) -> tuple[Any, list[float], int]:
    """Train a model.

    Args:
        streams: Token ids by source, int32, each longer than a window.
        shape: Of the model.
        recipe: The settings.
        device: Where.

    Returns:
        The model in evaluation mode, the mean loss of each stretch of steps, and the steps.
    """
    module = build(shape, recipe.seed).to(device).train()
    forward = torch.compile(module) if recipe.compiled else module
    optimiser = torch.optim.AdamW(
        decay_groups(module, recipe.decay),
        lr=recipe.rate,
        betas=(0.9, 0.95),
        fused=device.type == "cuda",
    )
    batches = _windows(streams, recipe, device)
    pace = Pace(recipe.steps, 60 * recipe.minutes, recipe.rate)
    losses: list[float] = []
    total, counted, step = torch.zeros((), device=device), 0, 0
    while (progress := pace.progress(step)) < 1:
        set_rate_(optimiser, pace.rate(progress))
        ids = next(batches)
        with _half_where_fast(device):
            logits = forward(input_ids=ids[:, :-1], use_cache=False).logits
        loss = F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        total += loss.detach()
        counted, step = counted + 1, step + 1
        if counted == _REPORT_EVERY:
            losses.append(float(total) / counted)
            say(step=step, progress=round(progress, 3), loss=round(losses[-1], 4))
            total, counted = torch.zeros((), device=device), 0
    if counted:
        losses.append(float(total) / counted)
    return module.eval(), losses, step


def _windows(
    streams: Mapping[str, Tensor], recipe: Recipe, device: torch.device
) -> Iterator[Tensor]:
    """Yield batches of token ids, int64, (batch, WINDOW + 1), without end."""
    generator = torch.Generator(device).manual_seed(recipe.seed)
    here = [stream.to(device) for stream in streams.values()]
    weights = torch.tensor(list(shares(streams).values()), device=device)
    along = torch.arange(WINDOW + 1, device=device)
    lengths = torch.tensor([len(stream) for stream in here], device=device)
    starts = lengths.cumsum(0) - lengths
    joined = torch.cat(here)
    while True:
        drawn = torch.multinomial(weights, recipe.batch, replacement=True, generator=generator)
        place = torch.rand(recipe.batch, device=device, generator=generator, dtype=torch.float64)
        first = starts[drawn] + (place * (lengths[drawn] - WINDOW)).long()
        yield joined[first[:, None] + along].long()


@contextlib.contextmanager
def _half_where_fast(device: torch.device) -> Iterator[None]:
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        yield


def quality(
    module: Any, tokenizer: Any, specs: Mapping[str, str], device: torch.device, most: int
) -> dict[str, dict[str, float]]:
    """Return loss and perplexity on text never trained on.

    Args:
        module: The model.
        tokenizer: Its tokenizer.
        specs: Data specifications by what to call them.
        device: Where the model is.
        most: Windows a specification at most.
    """
    found = {}
    for name, spec in specs.items():
        windows = load_windows(spec, tokenizer, seqlen=WINDOW, samples=most, exactly=False).ids
        total = 0.0
        with torch.inference_mode():
            for ids in torch.split(windows.to(device), 16):
                logits = module(input_ids=ids, use_cache=False).logits[:, :-1]
                total += float(
                    F.cross_entropy(
                        logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="sum"
                    )
                )
        tokens = len(windows) * (WINDOW - 1)
        loss = total / tokens
        found[name] = {"loss": loss, "perplexity": math.exp(min(loss, 50)), "tokens": tokens}
    return found


def write_samples(
    module: Any, tokenizer: Any, prompts: Sequence[str], device: torch.device
) -> tuple[str, ...]:
    """Return what the model writes after each prompt."""
    texts = []
    for prompt in prompts:
        torch.manual_seed(0)
        ids = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False).to(device)
        made = module.generate(
            **ids, max_new_tokens=90, do_sample=True, temperature=0.8, top_p=0.95, pad_token_id=0
        )
        texts.append(tokenizer.decode(made[0], skip_special_tokens=True))
    return tuple(texts)


def save(module: Any, tokenizer: Any, folder: Path, shard_mb: float) -> None:
    """Write model and tokenizer in half precision and the layout of Hugging Face."""
    module.half()
    module.config.dtype = torch.float16
    module.save_pretrained(folder, max_shard_size=int(shard_mb * 1e6))
    tokenizer.model_max_length = WINDOW
    tokenizer.save_pretrained(folder)
    module.float()


def main(argv: Sequence[str] | None = None, design: Design = DEMO) -> None:
    """Train and write what the arguments ask for."""
    parser = argparse.ArgumentParser(description=f"Train {design.name}.")
    add_options(parser, design)
    run(parser.parse_args(argv), design)


def run(args: argparse.Namespace, design: Design) -> None:
    """Train and write a model; ``args`` has the options of `add_options`."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    seconds: dict[str, float] = {}
    with worker_pool() as pool, _timed(seconds, "reading"):
        sources = read_sources(pool, args.data, args.reports, design.sources)
    with _timed(seconds, "tokenizer"):
        tokenizer = train_tokenizer(sources, design.shape.vocabulary)
    with _timed(seconds, "tokenising"):
        streams = {source.name: encode(tokenizer, source.documents) for source in sources}
    wanted = dataclasses.replace(design.shape, vocabulary=len(tokenizer))
    device = chosen_device()
    recipe = Recipe(
        args.minutes, args.steps, args.batch_size, args.rate, seed=args.seed, compiled=args.compile
    )
    with _timed(seconds, "training"):
        module, losses, steps = train(streams, wanted, recipe, device)
    parameters = sum(p.numel() for p in module.parameters())
    save(module, tokenizer, args.out, args.shard_mb)
    specs = {spec.removeprefix("demo:"): spec for spec in design.held_out}
    if args.heldout is not None:
        specs = {"English, held out": f"text:{args.heldout}", **specs}
    with _timed(seconds, "evaluation"):
        found = quality(module, tokenizer, specs, device, args.eval_windows)
        samples = write_samples(module, tokenizer, design.prompts, device)
    seen = steps * recipe.batch * WINDOW
    share = shares(streams)
    record = TrainingRecord(
        model=design.name,
        architecture=f"OPT: {wanted.layers} layers of width {wanted.hidden}, {wanted.heads} heads, "
        f"{wanted.neurons} neurons, {wanted.vocabulary:,} byte-level BPE tokens, "
        f"{WINDOW} positions",
        parameters=parameters,
        data={
            source.name: f"{len(source.documents):,} documents, {source.characters / 1e6:.1f} M "
            f"characters, {len(streams[source.name]) / 1e6:.2f} M tokens, "
            f"{share[source.name]:.0%} of the training, seen "
            f"{seen * share[source.name] / len(streams[source.name]):.1f} times"
            for source in sources
        },
        recipe={
            **{name: str(value) for name, value in dataclasses.asdict(recipe).items()},
            "steps": str(steps),
            "tokens": f"{seen:,}",
            "optimiser": "AdamW 0.9, 0.95; linear rise, cosine to zero; gradient norm at most 1",
            "precision": "bfloat16 autocast" if device.type == "cuda" else "float32",
            "last training loss": f"{losses[-1]:.4f}",
        },
        seed=recipe.seed,
        hardware=hardware(device),
        versions=versions("torch", "transformers", "tokenizers"),
        seconds=seconds,
        quality=found,
        samples=samples,
    )
    card = model_card(record, title=design.title, limits=design.limits, sources=design.licences)
    write_record(record, card, args.out)
    say(
        out=str(args.out),
        parameters=parameters,
        steps=steps,
        tokens=seen,
        tokens_a_second=round(seen / seconds["training"]),
        quality={name: round(one["perplexity"], 2) for name, one in found.items()},
        seconds={name: round(value, 1) for name, value in seconds.items()},
        samples=list(samples),
    )


@contextlib.contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - started
    say(done=name, seconds=round(seconds[name], 1))


def add_options(parser: argparse.ArgumentParser, design: Design) -> None:
    """Add what `run` reads to a parser."""
    usual = design.recipe
    parser.add_argument("--data", type=Path, required=True, help="folder of English .jsonl.xz")
    parser.add_argument("--heldout", type=Path, help="file of English kept out of training")
    parser.add_argument("--out", type=Path, required=True, help="directory for the model")
    parser.add_argument("--minutes", type=float, default=usual.minutes)
    parser.add_argument("--steps", type=int, default=usual.steps)
    parser.add_argument("--batch-size", type=int, default=usual.batch)
    parser.add_argument("--rate", type=float, default=usual.rate)
    if "plant-log" in design.sources:
        parser.add_argument("--reports", type=int, default=20_000, help="documents a plant")
    else:
        parser.set_defaults(reports=0)
    parser.add_argument("--eval-windows", type=int, default=500, help="of each source at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    parser.add_argument("--shard-mb", type=float, default=15.0, help="size of a weights file")


if __name__ == "__main__":
    main()
