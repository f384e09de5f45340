"""Runs: the history and what can be done with it."""

ENGLISH = {
    "page.runs": "Runs",
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
}

JAPANESE: dict[str, str] = {}
