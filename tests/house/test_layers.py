"""The rooms stay rooms: imports go one way, and no module keeps state."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "cavendish"
MODULES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))

_MUTABLE_NODES = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
_MUTABLE_CALLS = frozenset({"list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict"})

# Tables that nothing writes to, from before this test. Take one off when it becomes a MappingProxyType; add none.
READ_ONLY_BY_CUSTOM = frozenset(
    {
        "domain/inputs.py:_FORMATS",
        "engines/illustrator/abstract.py:_PALETTES",
        "engines/illustrator/arrange.py:_PAINTED_BY",
        "engines/illustrator/arrange.py:_ANCHORS",
        "engines/illustrator/arrange.py:_SHARES",
        "engines/illustrator/arrange.py:_SHARE_AT",
        "engines/illustrator/composer.py:_PAINTERS",
        "engines/illustrator/palette.py:_TONES",
        "engines/illustrator/reader.py:_RELATIONS",
        "engines/illustrator/scenery.py:HORIZONS",
        "engines/illustrator/scenery.py:LEAF_COLORS",
        "web/answers.py:STATUS_OF",
    }
)


def test_imports_go_one_way() -> None:
    lint = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    outcome = subprocess.run([sys.executable, "-c", lint], cwd=ROOT, capture_output=True, text=True, check=False)

    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "0 broken" in outcome.stdout


@pytest.mark.parametrize("module", MODULES)
def test_a_module_keeps_no_mutable_container(module: str) -> None:
    tree = ast.parse((SOURCE / module).read_text(encoding="utf-8"))
    found = {f"{module}:{name}" for name in mutable_names(tree.body)}

    assert found - READ_ONLY_BY_CUSTOM == set(), "wrap it in MappingProxyType, or make it a tuple or a frozenset"


def mutable_names(statements: list[ast.stmt]) -> Iterator[str]:
    """Names that are bound to a mutable container when the module is imported, branches included."""
    for statement in statements:
        match statement:
            case ast.Assign(targets=targets, value=value) if is_mutable(value):
                yield from (ast.unparse(target) for target in targets if ast.unparse(target) != "__all__")
            case ast.AnnAssign(target=target, value=ast.expr() as value) if is_mutable(value):
                yield ast.unparse(target)
            case ast.If(body=body, orelse=orelse):
                yield from mutable_names([*body, *orelse])
            case ast.Try(body=body, orelse=orelse, finalbody=final, handlers=handlers):
                yield from mutable_names([*body, *orelse, *final, *(s for h in handlers for s in h.body)])
            case ast.With(body=body):
                yield from mutable_names(body)
            case _:
                pass


def is_mutable(value: ast.expr) -> bool:
    """Whether the expression makes a list, dict or set that could be changed."""
    if isinstance(value, ast.Call):
        name = value.func.attr if isinstance(value.func, ast.Attribute) else ast.unparse(value.func)
        return name.partition("[")[0] in _MUTABLE_CALLS
    return isinstance(value, _MUTABLE_NODES)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("A = []", ["A"]),
        ("A: dict[str, int] = {'x': 1}", ["A"]),
        ("A = {x for x in range(3)}", ["A"]),
        ("A = dict(x=1)", ["A"]),
        ("A = collections.defaultdict(list)", ["A"]),
        ("if True:\n    A = {}", ["A"]),
        ("__all__ = ['A']", []),
        ("A = MappingProxyType({'x': 1})", []),
        ("A = frozenset({1}); B = (1, 2)", []),
        ("def f():\n    A = []", []),
    ],
)
def test_the_check_for_mutable_containers_sees_what_it_should(source: str, names: list[str]) -> None:
    assert list(mutable_names(ast.parse(source).body)) == names
