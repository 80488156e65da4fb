"""The house keeps its plan: files that can be read at a sitting, and imports that go one way.

An import counts wherever it stands: at a module's top, in a function, or for types alone.
"""

import ast
import graphlib

import pytest

from tests.conftest import ROOT

LONGEST = 300  # lines
FILES = sorted(
    [*ROOT.glob("*.py"), *(file for room in ("R", "models", "tests") for file in ROOT.glob(f"{room}/**/*.py"))]
)
MODULES = {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in FILES}


def imported_names(module: str) -> set[str]:
    """All that a module imports: `models.views`, and `models.views.normalise` where it is taken from there."""
    names = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{module}: imports are absolute here"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


NAMES = {module: imported_names(module) for module in MODULES}
IMPORTS = {module: (names & MODULES.keys()) - {module} for module, names in NAMES.items()}


def within(room: str) -> set[str]:
    return {module for module in MODULES if module == room or module.startswith(f"{room}.")}


def test_no_file_is_longer_than_300_lines():
    lines = {name: len(file.read_text(encoding="utf-8").splitlines()) for name, file in MODULES.items()}
    assert {name: count for name, count in lines.items() if count > LONGEST} == {}


def test_imports_form_no_circle():
    # Whoever imports a module from outside its package runs the package's own imports first.
    graph = {
        module: found
        | {package for name in found for package in packages_of(name) if package not in packages_of(module)}
        for module, found in IMPORTS.items()
    }
    for module, found in graph.items():
        found -= {package for package in packages_of(module) if not takes_names_of(module, package)} | {module}
    try:
        list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" → ".join(reversed(error.args[1])))


def packages_of(module: str) -> set[str]:
    """The packages that a module lies in."""
    parts = module.split(".")
    return {".".join(parts[:count]) for count in range(1, len(parts))} & MODULES.keys()


def takes_names_of(module: str, package: str) -> bool:
    """Whether a module takes names that a package defines, and not only modules that lie in it."""
    taken = {name for name in NAMES[module] if name.rpartition(".")[0] == package}
    return not taken <= MODULES.keys()


def test_modules_ask_one_another_and_not_the_package_that_gathers_them():
    assert [module for module in within("models") if takes_names_of(module, "models")] == []


DEMOS = within("models.faces") | within("models.batch") | within("models.live") | {"models.classifier"}


@pytest.mark.parametrize("room, others", [
    ("models", {file.stem for file in ROOT.glob("*.py")} | within("tests") | within("R")),
    ("models.device", within("models") - {"models.device", "models.errors"}),
    ("models.vgg16", within("models") - {"models.vgg16", "models.errors"}),
    ("models.architectures", within("models.inference")),
    ("models.checkpoint", within("models.inference")),
    ("models.inference", DEMOS | within("models.training") | {"models.checkpoint"}),
    ("models.training", DEMOS),
    ("models.classifier", within("models.training") | {"models.drawing", "models.plots"}),
    ("models.batch", within("models.training") | within("models.live")),
    ("models.datasets", within("models.training")),
])  # fmt: skip
def test_a_room_imports_nothing_of_those_above_it(room, others):
    assert {module: IMPORTS[module] & others for module in within(room) if IMPORTS[module] & others} == {}


def test_the_face_finders_training_is_imported_by_its_own_command_alone():
    room = within("models.faces.training")
    assert [module for module in within("models") - room if IMPORTS[module] & room] == []


def test_one_module_imports_matplotlib():
    users = {module for module in within("models") for name in NAMES[module] if name.split(".")[0] == "matplotlib"}
    assert users == {"models.plots"}
