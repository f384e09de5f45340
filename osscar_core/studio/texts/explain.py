"""Explain: what was removed, layer by layer."""

ENGLISH = {
    "page.explain": "What was removed, and is it safe?",
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
}

JAPANESE: dict[str, str] = {}
