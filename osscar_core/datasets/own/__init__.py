"""A person's own data: checked strictly, kept in one form, deletable.

The decision hidden here: which names the rest of the program may use. Neither torch nor
pandas is needed, so that the app can check an upload in its own process.
"""

from __future__ import annotations

from osscar_core.datasets.own.limits import LIMITS, Limits
from osscar_core.datasets.own.mapping import Mapping, PersonalHint
from osscar_core.datasets.own.parsing import Preview, preview
from osscar_core.datasets.own.problems import OwnDataError, Problem
from osscar_core.datasets.own.source import own_documents, own_name, own_pictures, own_task
from osscar_core.datasets.own.store import (
    OwnInfo,
    delete_expired,
    delete_own,
    expired,
    import_own,
    list_own,
    own_folder,
)
from osscar_core.datasets.own.templates import sample_own, template

__all__ = [
    "LIMITS",
    "Limits",
    "Mapping",
    "OwnDataError",
    "OwnInfo",
    "PersonalHint",
    "Preview",
    "Problem",
    "delete_expired",
    "delete_own",
    "expired",
    "import_own",
    "list_own",
    "own_documents",
    "own_folder",
    "own_name",
    "own_pictures",
    "own_task",
    "preview",
    "sample_own",
    "template",
]
