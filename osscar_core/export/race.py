"""Time ONNX files in turns: a program of its own, with onnxruntime and numpy alone.

The decision hidden here: what one round is, and when enough is enough. Every file does
every piece of work once a round, the order reversed each time, so that a machine that
warms up or is shared slows all; rounds repeat until a budget is spent, but ten times at
least. What is not timed: reading the file, and three rounds before.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

MOST_ROUNDS = 50
_FEWEST_ROUNDS = 10
_WARM_UP = 3
_PAST = "past_key_values."


def main(arguments: Sequence[str]) -> int:
    """Time the files that ``race.json`` names; one line on standard output is one round.

    Args:
        arguments: The folder with ``race.json`` and ``items.npy``, items at once (not used
            here), and threads.
    """
    folder, threads = Path(arguments[0]), int(arguments[2])
    race = json.loads((folder / "race.json").read_bytes())
    items = np.load(folder / "items.npy", mmap_mode="r")
    sessions = {name: opened(file, threads, race["provider"]) for name, file in race["files"]}
    runs = [
        (name, work, sessions[name], given)
        for name in sessions
        for work, given in works(sessions[name], items, race["sizes"]).items()
    ]
    times: dict[str, dict[str, list[float]]] = {name: {} for name in sessions}
    deadline = 0.0
    for number in range(-_WARM_UP, MOST_ROUNDS):
        if number == 0:
            deadline = time.perf_counter() + race["seconds"]
        if number >= _FEWEST_ROUNDS and time.perf_counter() > deadline:
            break
        for name, work, session, given in runs if number % 2 == 0 else reversed(runs):
            started = time.perf_counter()
            session.run(None, given)
            spent = (time.perf_counter() - started) * 1e3
            if number >= 0:
                times[name].setdefault(work, []).append(spent)
        print(max(0, number + 1), flush=True)  # noqa: T201 - read by the parent
    print(MOST_ROUNDS, flush=True)  # noqa: T201 - read by the parent
    told = {"times": times, "onnxruntime": ort.__version__, "numpy": np.__version__}
    (folder / "raced.json").write_text(json.dumps(told), encoding="utf8")
    return 0


def opened(file: str, threads: int, provider: str) -> Any:
    """Return a session whose threads rest while other files have their turn."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = ort.InferenceSession(file, options, providers=[provider])
    if session.get_providers()[0] != provider:
        raise SystemExit(f"{provider} is not here, {session.get_providers()[0]} is")
    return session


def works(session: Any, items: Any, sizes: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Return what is timed: pieces of work by name, each with a file's inputs.

    Args:
        session: The file.
        items: Pixels (N, 3, S, S), or token ids (N, T).
        sizes: Images at once; or the tokens of one prompt, which is read, and after which
            one more token is.
    """
    inputs = session.get_inputs()
    caches = [(one.name, one.shape) for one in inputs if one.name.startswith(_PAST)]
    name = inputs[0].name
    if items.ndim > 2:
        batches = (np.resize(items, (size, *items.shape[1:])) for size in sizes)
        return {f"batch-{len(one)}": {name: one} for one in batches}
    found = {}
    for size in sizes:
        for work, past, ids in (("prefill", 0, items[:1, :size]), ("decode", size, items[:1, -1:])):
            empty = {key: (1, shape[1], past, shape[3]) for key, shape in caches}
            found[f"{work}-{size}"] = {
                name: np.ascontiguousarray(ids),
                "attention_mask": np.ones((1, past + ids.shape[1]), np.int64),
                **{key: np.zeros(shape, np.float32) for key, shape in empty.items()},
            }
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
