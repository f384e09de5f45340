"""A tokenizer as GGUF says it.

The decision hidden here: which tokenizers llama.cpp reads as they are. It knows the way in which
a text is split by name only, so a tokenizer is matched with the names piece by piece, and one
that matches none is refused: a file that splits text in another way is another model. Of a
tokenizer of characters it knows scores in place of merges, and they have to say the same. One
that came from a GGUF file which is still there goes into the new one word for word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
from gguf import GGUFValueType, Keys, TokenType

from osscar_core.errors import SpecError
from osscar_core.export.records import LEADING_SPACE, NOT_NFC
from osscar_core.models import LoadedModel
from osscar_core.models.weights import sha256

_NOT_COMPARED = "the latter makes the model's own tokens, so what text becomes was not compared"
_REMEDY = "Take hf or onnx, which carry the tokenizer's own file"
_PREFIX = "tokenizer."
_BYTE = re.compile("<0x[0-9A-F]{2}>")
_METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
_MARKED = {
    "type": "Sequence",
    "normalizers": [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    ],
}
_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN_2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

_Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a GGUF file's metadata.

    Attributes:
        key: Its name.
        value: Its value.
        kind: Type of the value.
        items: Type of an array's items.
    """

    key: str
    value: Any
    kind: GGUFValueType
    items: GGUFValueType | None = None


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A tokenizer in GGUF.

    Attributes:
        entries: What the file says of it.
        is_exact: Whether `transformers` makes the same tokens of a text from these entries;
            llama.cpp does in any case.
        notes: What a reader should know.
    """

    entries: tuple[Entry, ...]
    is_exact: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Splitting:
    """A way of splitting text that llama.cpp has a name for.

    Attributes:
        name: The name.
        steps: The same in the words of `tokenizers`.
        ignore_merges: Whether a word of the vocabulary is taken whole, whatever the merges.
        inexact: What `transformers` does otherwise when it finds the name in a GGUF file.
    """

    name: str
    steps: tuple[Mapping[str, Any], ...]
    ignore_merges: bool = False
    inexact: str = ""


def _bytes(*, use_regex: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "use_regex": use_regex}


def _split(regex: str) -> dict[str, Any]:
    pattern = {"Regex": regex}
    return {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}


_SPLITTINGS = (
    Splitting("gpt-2", (_bytes(use_regex=True),)),
    Splitting(
        "smollm",
        ({"type": "Digits", "individual_digits": True}, _bytes(use_regex=True)),
        inexact="splits the spaces before a number in another way",
    ),
    Splitting(
        "llama-bpe",
        (_split(_LLAMA_3), _bytes(use_regex=False)),
        ignore_merges=True,
        inexact="takes fewer words of the vocabulary whole",
    ),
    Splitting("qwen2", (_split(_QWEN_2), _bytes(use_regex=False))),
)


def vocabulary_of(loaded: LoadedModel, rows: int) -> Vocabulary:
    """Return what a GGUF file says of a model's tokenizer.

    Args:
        loaded: The model.
        rows: Tokens that the model has embeddings for.

    Raises:
        SpecError: There is no tokenizer, or GGUF cannot say it.
    """
    if loaded.tokenizer is None:
        raise SpecError(
            f"a GGUF file holds the tokenizer too, and {loaded.source.model} has none",
            "Put the tokenizer's files beside the weights",
        )
    return _copied(loaded, rows) or _described(loaded.tokenizer, rows)


def _copied(loaded: LoadedModel, rows: int) -> Vocabulary | None:
    """Return the tokenizer of the GGUF file that the model was made from, if it is there."""
    source = loaded.source if loaded.plan is None else loaded.plan.source
    file = Path(source.tokenizer or "")
    if file.suffix.lower() != ".gguf" or not file.is_file() or sha256(file) != source.sha256:
        return None
    fields = gguf.GGUFReader(file).fields
    entries = []
    for key, field in fields.items():
        value = field.contents() if key.startswith(_PREFIX) else []
        if value != []:
            items = field.types[-1] if field.types[0] is GGUFValueType.ARRAY else None
            entries.append(Entry(key, value, field.types[0], items))
    values = {entry.key: entry.value for entry in entries}
    words: list[str] = values.get(Keys.Tokenizer.LIST, [])
    tokenizer: Any = loaded.tokenizer
    if len(words) != rows or words != tokenizer.convert_ids_to_tokens(range(rows)):
        return None
    name = values.get(Keys.Tokenizer.PRE)
    notes = (_differs(one.inexact) for one in _SPLITTINGS if one.name == name and one.inexact)
    return Vocabulary(tuple(entries), notes=tuple(notes))


def _described(tokenizer: Any, rows: int) -> Vocabulary:
    """Return a tokenizer in GGUF's words."""
    said = json.loads(tokenizer.backend_tokenizer.to_str())
    model = said["model"]
    if model["type"] != "BPE":
        raise SpecError(
            f"its tokenizer is {model['type']}, and only BPE is written in GGUF here, unless the "
            "model came from a GGUF file that is still there",
            _REMEDY,
        )
    pairs = [one.split(" ") if isinstance(one, str) else one for one in model["merges"]]
    merges = [(left, right) for left, right in pairs]
    if not merges:
        raise SpecError("its tokenizer merges nothing, and llama.cpp reads none like it", _REMEDY)
    make = _of_characters if model["byte_fallback"] else _of_bytes
    entries, notes, is_exact = make(said, merges, rows)
    all_entries = (*entries, *_special(tokenizer, rows), *_template(tokenizer.chat_template))
    return Vocabulary(all_entries, is_exact, notes)


def _of_bytes(
    said: Mapping[str, Any], merges: Sequence[_Pair], rows: int
) -> tuple[tuple[Entry, ...], tuple[str, ...], bool]:
    """Return entries and notes of byte-level BPE, and whether `transformers` reads it alike."""
    splitting = _splitting(said)
    _check_merging(said["model"], splitting.name, ignore_merges=splitting.ignore_merges)
    words, types = _words(said, rows)
    alphabet = set(_alphabet())
    for word in words:
        if not set(word) <= alphabet:
            raise SpecError(
                f"its token {word!r} holds characters beside those that stand for bytes, and is "
                "read from GGUF as another",
                _REMEDY,
            )
    entries = (
        Entry(Keys.Tokenizer.MODEL, "gpt2", GGUFValueType.STRING),
        Entry(Keys.Tokenizer.PRE, splitting.name, GGUFValueType.STRING),
        *_lists(words, types, merges),
        Entry(Keys.Tokenizer.ADD_PREFIX, value=False, kind=GGUFValueType.BOOL),
    )
    notes = [NOT_NFC] if said["normalizer"] else []
    if splitting.inexact:
        notes.append(f"{_differs(splitting.inexact)}; {_NOT_COMPARED}")
    return entries, tuple(notes), not splitting.inexact


def _of_characters(
    said: Mapping[str, Any], merges: Sequence[_Pair], rows: int
) -> tuple[tuple[Entry, ...], tuple[str, ...], bool]:
    """Return entries and notes of BPE of characters, and whether `transformers` reads it alike.

    What SentencePiece merges next is the pair that makes the token of the highest score, whatever
    the pair; so merges must come token by token, and none may be missing.
    """
    _check_merging(said["model"], "llama", ignore_merges=False)
    step, normalizer = said["pre_tokenizer"], said["normalizer"]
    is_now, was_so = (normalizer, step) == (None, _METASPACE), (normalizer, step) == (_MARKED, None)
    if not (is_now or was_so):
        raise SpecError(
            f"its tokenizer of characters prepares text by {normalizer or step}, which GGUF's "
            "llama does not",
            _REMEDY,
        )
    words, types = _words(said, rows)
    made = list(dict.fromkeys(left + right for left, right in merges))
    rank = {word: number for number, word in enumerate(made)}
    order = [rank[left + right] for left, right in merges]
    normal = {word for word, kind in zip(words, types, strict=True) if kind == TokenType.NORMAL}
    possible = {
        (word[:cut], word[cut:])
        for word in normal
        for cut in range(1, len(word))
        if word[:cut] in normal and word[cut:] in normal
    }
    if order != sorted(order) or not possible <= set(merges):
        raise SpecError(
            "its tokenizer of characters merges in an order that is none of whole tokens, and "
            "GGUF's llama knows a score of every token only",
            _REMEDY,
        )
    scores = [-float(rank.get(word, len(made))) if word in normal else 0.0 for word in words]
    array, numbers = GGUFValueType.ARRAY, GGUFValueType.FLOAT32
    entries = (
        Entry(Keys.Tokenizer.MODEL, "llama", GGUFValueType.STRING),
        Entry(Keys.Tokenizer.PRE, "default", GGUFValueType.STRING),
        *_lists(words, types, merges),
        Entry(Keys.Tokenizer.SCORES, scores, array, numbers),
        Entry(Keys.Tokenizer.ADD_PREFIX, value=True, kind=GGUFValueType.BOOL),
    )
    inexact = "puts fewer spaces before text that begins with one or follows a special token"
    note = LEADING_SPACE if is_now else f"{_differs(inexact)}; {_NOT_COMPARED}"
    return entries, (note,), is_now


def _differs(inexact: str) -> str:
    return f"transformers, reading GGUF, {inexact} than llama.cpp does"


def _lists(words: list[str], types: list[int], merges: Sequence[_Pair]) -> Iterator[Entry]:
    array, strings = GGUFValueType.ARRAY, GGUFValueType.STRING
    yield Entry(Keys.Tokenizer.LIST, words, array, strings)
    yield Entry(Keys.Tokenizer.TOKEN_TYPE, types, array, GGUFValueType.INT32)
    yield Entry(Keys.Tokenizer.MERGES, [" ".join(pair) for pair in merges], array, strings)


def _splitting(said: Mapping[str, Any]) -> Splitting:
    """Return the name of a way to split text.

    Raises:
        SpecError: It has none.
    """
    if said["normalizer"] not in (None, {"type": "NFC"}):
        kind = said["normalizer"]["type"]
        raise SpecError(f"its tokenizer changes text by {kind}, which GGUF cannot say", _REMEDY)
    step = said["pre_tokenizer"] or {"type": "none"}
    steps = step["pretokenizers"] if step["type"] == "Sequence" else [step]
    bare = tuple({key: one[key] for key in one if key != "trim_offsets"} for one in steps)
    decodes_bytes = (said["decoder"] or {}).get("type") == "ByteLevel"
    for known in _SPLITTINGS:
        if known.steps == bare and decodes_bytes:
            return known
    kinds = " + ".join(_kind(one) for one in bare)
    names = ", ".join(known.name for known in _SPLITTINGS)
    raise SpecError(
        f"its tokenizer splits text by {kinds}, which is none of the ways that are known by name "
        f"in GGUF here ({names})",
        _REMEDY,
    )


def _kind(step: Mapping[str, Any]) -> str:
    settings = {key: value for key, value in step.items() if key != "type"}
    shown = ", ".join(f"{key}={value}" for key, value in settings.items())
    return f"{step['type']}({shown})" if len(shown) <= 120 else f"{step['type']}({shown[:117]}...)"


def _check_merging(model: Mapping[str, Any], name: str, *, ignore_merges: bool) -> None:
    """Raise `SpecError` unless words are put together as llama.cpp does it."""
    wanted = {
        "dropout": None,
        "continuing_subword_prefix": "",
        "end_of_word_suffix": "",
        "ignore_merges": ignore_merges,
    }
    for key, value in wanted.items():
        found = model.get(key)
        if (found or None) != (value or None):
            raise SpecError(
                f"its tokenizer merges with {key} = {found!r}, and what GGUF calls {name} has "
                f"{value!r}",
                _REMEDY,
            )


def _words(said: Mapping[str, Any], rows: int) -> tuple[list[str], list[int]]:
    """Return every token and its type, in the order of their ids.

    Raises:
        SpecError: There are more than the model has embeddings for, or one that reads otherwise.
    """
    model = said["model"]
    named = {index: (word, _type(word, model)) for word, index in model["vocab"].items()}
    if max(named) >= rows:
        raise SpecError(
            f"its tokenizer has tokens up to number {max(named)}, and the model {rows} embeddings",
            "The tokenizer belongs to another model; use the right one",
        )
    for one in said["added_tokens"]:
        if one["id"] >= rows:
            continue  # a default of `transformers`, which the model has never seen
        if one["lstrip"] or one["rstrip"] or one["single_word"]:
            raise SpecError(
                f"its token {one['content']!r} takes the spaces beside it, which GGUF cannot say",
                _REMEDY,
            )
        kind = TokenType.CONTROL if one["special"] else TokenType.USER_DEFINED
        known = named.get(one["id"], ("", kind))[1]
        named[one["id"]] = (one["content"], known if known is TokenType.UNKNOWN else kind)
    filled = (named.get(index, (f"[PAD{index}]", TokenType.UNUSED)) for index in range(rows))
    words, types = zip(*filled, strict=True)
    return list(words), [int(one) for one in types]


def _type(word: str, model: Mapping[str, Any]) -> TokenType:
    if model["byte_fallback"] and word == model["unk_token"]:
        return TokenType.UNKNOWN
    is_byte = model["byte_fallback"] and _BYTE.fullmatch(word)
    return TokenType.BYTE if is_byte else TokenType.NORMAL


def _alphabet() -> Sequence[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    letters: Sequence[str] = ByteLevel.alphabet()
    return letters


def _special(tokenizer: Any, rows: int) -> Iterator[Entry]:
    """Give the numbers of the tokens with a meaning, and which of them a text gets.

    Raises:
        SpecError: A text gets others, or none ends it.
    """
    if tokenizer.eos_token_id is None or tokenizer.eos_token_id >= rows:
        raise SpecError(
            "its tokenizer names no token that ends a text, and llama.cpp would take another",
            "Set eos_token in tokenizer_config.json",
        )
    for key, number in (
        (Keys.Tokenizer.BOS_ID, tokenizer.bos_token_id),
        (Keys.Tokenizer.EOS_ID, tokenizer.eos_token_id),
        (Keys.Tokenizer.UNK_ID, tokenizer.unk_token_id),
        (Keys.Tokenizer.PAD_ID, tokenizer.pad_token_id),
    ):
        if number is not None and number < rows:
            yield Entry(key, int(number), GGUFValueType.UINT32)
    plain = tokenizer("a", add_special_tokens=False).input_ids
    whole = tokenizer("a").input_ids
    begins, ends = whole[:1] == [tokenizer.bos_token_id], whole[-1:] == [tokenizer.eos_token_id]
    first = [tokenizer.bos_token_id] if begins else []
    last = [tokenizer.eos_token_id] if ends else []
    if [*first, *plain, *last] != whole:
        raise SpecError(
            f"its tokenizer makes {whole} of 'a', and GGUF can put no more than the first and the "
            f"last token around {plain}",
            _REMEDY,
        )
    yield Entry(Keys.Tokenizer.ADD_BOS, begins, GGUFValueType.BOOL)
    yield Entry(Keys.Tokenizer.ADD_EOS, ends, GGUFValueType.BOOL)


def _template(found: str | Mapping[str, str] | None) -> Iterator[Entry]:
    """Give the chat template; of several, the default one."""
    text = found if found is None or isinstance(found, str) else found.get("default")
    if text:
        yield Entry(Keys.Tokenizer.CHAT_TEMPLATE, text, GGUFValueType.STRING)
