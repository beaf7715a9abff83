"""The illustrator stays small: what it can draw is data, and a new subject touches no code."""

import ast
import io
import tokenize
from pathlib import Path

import pytest

import cavendish.engines.illustrator

FOLDER = Path(cavendish.engines.illustrator.__file__).parent
MOST_LINES = 2_000
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def lines_of_code(source: str) -> int:
    """Lines with code on them: neither blank, nor comment, nor docstring."""
    lines = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ('"""What."""\n\nx = 1  # why\n# more\n', 1),
        ('def f() -> str:\n    """What.\n\n    More.\n    """\n\n    return """a\nb"""\n', 3),
        ('X = 1\n"""What X is."""\n', 1),
    ],
)
def test_lines_are_counted_as_they_are_meant(source: str, count: int) -> None:
    assert lines_of_code(source) == count


def test_reader_composer_and_renderer_are_under_two_thousand_lines_of_code() -> None:
    lines = {path.name: lines_of_code(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.py")}
    del lines["engine.py"]  # the processes in which they run
    assert sum(lines.values()) < MOST_LINES, lines
