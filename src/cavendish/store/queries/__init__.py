"""The SQL, one file per subject; each query is named and described where it stands."""

import re
from collections.abc import Mapping
from importlib.resources import files

_HEADING = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load_queries(subject: str) -> Mapping[str, str]:
    """Query name -> SQL text, from `<subject>.sql`."""
    text = files(__name__).joinpath(f"{subject}.sql").read_text(encoding="utf-8")
    parts = _HEADING.split(text)[1:]
    queries = {name: sql.strip() for name, sql in zip(parts[::2], parts[1::2], strict=True)}
    assert len(queries) * 2 == len(parts), f"{subject}.sql names a query twice"
    return queries
