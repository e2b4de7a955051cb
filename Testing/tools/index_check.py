"""``make index-check``: what the Slicer Extensions Index asks of an extension of tier 3, as far as a clone can tell.

The points are those of the index's template for new extensions and of its script that checks entries. What only the public
repository can show (its topic, reachable pictures) stands in CONTRIBUTING.md.
"""

from __future__ import annotations

import ast
import builtins
import functools
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import jsonschema
import PIL.Image

ROOT = Path(__file__).resolve().parents[2]
_MEGABYTES = 100  # of a checkout with its history
_ICON_PIXELS = 128
_LEAST_PICTURES = 3  # of the tutorial
_VERSION = "slicer-extension-catalog-entry-schema-v1.0.2.json"
_TEXT = {"type": "string"}
_SCHEMA = {  # what that version asks
    "type": "object",
    "required": ["$schema", "category", "scm_url"],
    "additionalProperties": False,
    "properties": {
        **dict.fromkeys(("$schema", "category", "scm_url", "scm_revision", "dicom_support_rule", "build_subdirectory"), _TEXT),
        "scm_type": {"enum": ["git", "local"]},
        "build_dependencies": {"type": "array", "items": _TEXT},
        "enabled": {"type": "boolean"},
        "tier": {"type": "integer", "minimum": 1, "maximum": 5},
    },
}
_CATEGORIES = {"Analysis", "Filtering", "Image Synthesis", "Neuroimaging", "Nuclear Medicine"}  # those that would fit
_LICENCES = ("LICENSE", "LICENSE.txt", "License.txt", "COPYING")
_BSD_3_CLAUSE = "70435d703f5e4bdca9a1fa6b9291501b0dd850d2ad5457b491ce936217b1e063"  # SHA-256 of its terms
_INSTALLED = {"MODULE_PYTHON_SCRIPTS": "*.py", "MODULE_PYTHON_RESOURCES": "Resources/*"}  # files below the module's folder
_RUN = ("__main__.py", "run_module.py")  # files that are run as scripts
_TIER = 3
_URL = r"https://raw\.githubusercontent\.com/(?P<owner>[^/\s]+)/(?P<repository>[^/\s]+)/main/(?P<path>\S+)"
_BROUGHT = {"slicer", "vtk", "qt", "ctk", "SimpleITK", "sitkUtils", "numpy", "scipy"}  # by Slicer, beside Python's own
_ACTS = {"print", "open", "exec", "eval", "compile", "input", "__import__", "breakpoint", "exit", "quit"}
_RECORDS = {  # of the registries of messages, file formats and metrics
    *("Catalogue", "Message", "Section", "FileFormat", "Metric"),
    *("of_fused", "sum_of_sources", "mean_of_sources", "swapped"),
}
_MAKERS = (
    {"_", "Path", "TypeVar", "math", "np", "re", "threading"} | _RECORDS | set(dir(builtins)) - _ACTS
)  # they only make values
_NETWORK = (
    "urllib.request",
    "http",
    "socket",
    "ssl",
    "ftplib",
    "smtplib",
    "requests",
    "httpx",
    "aiohttp",
    "urllib3",
    "websockets",
)
_NOT_OURS_TO_INSTALL = re.compile(r"\b(torch|torchvision|numpy|simpleitk|vtk)\b", re.IGNORECASE)


@functools.cache
def _parsed(text: str) -> ast.Module:
    """Return the syntax tree of a file, which tests of many copies of the project share."""
    return ast.parse(text)


class Repository:
    """A clone, read once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries = sorted(root.glob("*.json"))
        self.cmake = self.text("CMakeLists.txt")
        self.readme = self.text("README.md")
        self.module = root / self.name

    @property
    def name(self) -> str:
        """Of the extension."""
        return self.entries[0].stem if self.entries else ""

    @cached_property
    def scripts(self) -> dict[Path, ast.Module]:
        """Return the syntax trees of all installed Python files."""
        return {file: _parsed(file.read_text(encoding="utf-8")) for file in sorted(self.module.rglob("*.py"))}

    def text(self, name: str) -> str:
        """Return the text of a file; an empty text if there is no such file."""
        file = self.root / name
        return file.read_text(encoding="utf-8") if file.is_file() else ""

    def variable(self, name: str) -> str:
        """Return the value of a variable that CMakeLists.txt sets in one line, in quotation marks."""
        found = re.search(rf'^set\({name} "([^"\n]+)"\)$', self.cmake, re.MULTILINE)
        return found[1] if found else ""


def check_entry(repository: Repository) -> Iterator[str]:
    """The JSON file that goes into the index, by its schema and the index's further rules."""
    if len(repository.entries) != 1:
        yield f"{len(repository.entries)} JSON files lie beside README.md: there must be one, the entry of the index"
        return
    try:
        entry = json.loads(repository.entries[0].read_text(encoding="utf-8"))
    except ValueError as error:
        yield f"{repository.entries[0].name} is no JSON: {error}"
        return
    yield from (f"the entry: {error.message}" for error in jsonschema.Draft7Validator(_SCHEMA).iter_errors(entry))
    if not entry.get("$schema", "").split("#")[0].endswith(f"/{_VERSION}"):
        yield f"the entry's schema is not {_VERSION}"
    if entry.get("category") not in _CATEGORIES:
        yield f"the category {entry.get('category')} is none of {', '.join(sorted(_CATEGORIES))}"
    if entry.get("tier", 1) != _TIER:
        yield f"the entry does not ask for tier {_TIER}"
    yield from _check_names(repository, entry)


def _check_names(repository: Repository, entry: dict[str, object]) -> Iterator[str]:
    if repository.name.lower().startswith("slicer"):
        yield "the extension's name begins with Slicer"
    if not re.fullmatch(rf"https://github\.com/[\w-]+/Slicer{repository.name}\.git", str(entry.get("scm_url"))):
        yield f"scm_url is no address of a repository called Slicer{repository.name}"
    if entry.get("build_dependencies", []) != repository.variable("EXTENSION_DEPENDS").split():
        yield "build_dependencies are not EXTENSION_DEPENDS of CMakeLists.txt"


def check_metadata(repository: Repository) -> Iterator[str]:
    """What the catalogue shows, out of the upper CMakeLists.txt."""
    if f"project({repository.name})" not in repository.cmake:
        yield f"CMakeLists.txt has no project({repository.name})"
    for name in ("HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS"):
        if not repository.variable(f"EXTENSION_{name}"):
            yield f"EXTENSION_{name} is not set in one line, in quotation marks"
    if not repository.variable("EXTENSION_HOMEPAGE").startswith("https://"):
        yield "EXTENSION_HOMEPAGE is no address"
    sentences = re.findall(r"[^.]\.(?:\s|$)", repository.variable("EXTENSION_DESCRIPTION"))
    if len(sentences) not in (1, 2):
        yield "EXTENSION_DESCRIPTION is not one or two sentences"
    icons = repository.variable("EXTENSION_ICONURL").split()
    yield from _check_pictures(repository, icons, square=_ICON_PIXELS)
    yield from _check_pictures(repository, repository.variable("EXTENSION_SCREENSHOTURLS").split())


def _check_pictures(repository: Repository, urls: list[str], square: int = 0) -> Iterator[str]:
    entry = repository.text(f"{repository.name}.json")
    for url in urls:
        found = re.fullmatch(_URL, url)
        if not found or f'"https://github.com/{found["owner"]}/{found["repository"]}.git"' not in entry:
            yield f"{url} is no address of a file in this repository"
            continue
        size = png_size(repository.root / found["path"])
        if size is None:
            yield f"{found['path']} is no PNG"
        elif square and size != (square, square):
            yield f"{found['path']} has {size[0]} x {size[1]} pixels, not {square} x {square}"


def png_size(file: Path) -> tuple[int, int] | None:
    """Width and height; None where there is no such picture."""
    try:
        with PIL.Image.open(file, formats=["PNG"]) as image:
            return image.size
    except (OSError, ValueError):
        return None


def check_licence(repository: Repository) -> Iterator[str]:
    """There is a permissive one, and the README names it."""
    name = next((each for each in _LICENCES if repository.text(each)), "")
    if not name:
        yield "there is no licence file beside README.md"
    elif hashlib.sha256(_terms(repository.text(name)).encode()).hexdigest() != _BSD_3_CLAUSE:
        yield f"{name} is not that of BSD 3-Clause"
    elif "BSD 3-Clause" not in repository.readme:
        yield "README.md does not name the licence, BSD 3-Clause"


def _terms(licence: str) -> str:
    """Return the licence from the permission on, without title, year, holder and line breaks."""
    return " ".join(licence[licence.find("Redistribution") :].split())


def is_clone(root: Path) -> bool:
    """Whether git reads it; what is unpacked from an archive has no history, and another user's git refuses."""
    command = ["git", "-C", str(root), "rev-parse", "--show-toplevel"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return False
    return done.returncode == 0 and Path(done.stdout.strip()).resolve() == root.resolve()


def check_size(repository: Repository) -> Iterator[str]:
    """A new clone with its whole history, as the index measures it."""
    if not is_clone(repository.root):
        print("Size and line ends were not looked at: git reads no clone here.")
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", "--no-local", str(repository.root), str(target)], check=True)
        megabytes = sum(file.stat().st_size for file in target.rglob("*") if file.is_file()) / 2**20
    print(f"A clone with its history has {megabytes:.1f} MB.")
    if megabytes > _MEGABYTES:
        yield f"a clone has {megabytes:.1f} MB, more than {_MEGABYTES}"


def check_line_ends(repository: Repository) -> Iterator[str]:
    """LF, in what git holds and in what lies here."""
    if not is_clone(repository.root):
        return
    command = ["git", "-C", str(repository.root), "ls-files", "--eol"]
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        ends, _, name = line.partition("\t")
        if not name.startswith("Testing/tools/fuzz/corpus/") and re.search(r"[iw]/(crlf|mixed)", ends):
            yield f"{name} has other line ends than LF"


def check_file_scope(repository: Repository) -> Iterator[str]:
    """Check that a file that is imported only defines names, and runs nothing else."""
    for file, tree in repository.scripts.items():
        own = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        for node in tree.body:
            if file.name not in _RUN and not _only_names(node, own | _MAKERS):
                yield f"{file.relative_to(repository.root)}:{node.lineno} runs code when the file is imported"


def _only_names(node: ast.stmt, makers: set[str]) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.ClassDef():
            return True
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
            return all(_root(call) in makers for call in ast.walk(node) if isinstance(call, ast.Call))
        case ast.Try(handlers=[ast.ExceptHandler(type=ast.Name(id="ImportError"))], finalbody=[]):
            return all(_only_names(each, makers) for each in (*node.body, *node.handlers[0].body, *node.orelse))
        case ast.Expr(value=ast.Constant()):  # a docstring
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            return True
    return False


def _root(call: ast.Call) -> str:
    """Return the first name in the expression that is called."""
    node: ast.expr = call
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Constant):
            return type(node.value).__name__  # a method of a literal, such as (540).to_bytes
        if not isinstance(node, ast.Call | ast.Attribute | ast.Subscript):
            return ""
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id


def check_imports(repository: Repository) -> Iterator[str]:
    """Check that everything imported with the module comes with Python or Slicer."""
    waiting, seen = [repository.module / f"{repository.name}.py"], set()
    while waiting:
        file = waiting.pop()
        seen.add(file)
        for name in _imported(repository, file):
            ours = _file_of(repository, name)
            if ours in seen or ours in waiting:
                continue
            if ours:
                waiting.append(ours)
            elif name.split(".")[0] not in sys.stdlib_module_names | _BROUGHT:
                yield f"{file.relative_to(repository.root)} imports {name} when Slicer starts, which Slicer does not bring"


def _imported(repository: Repository, file: Path) -> Iterator[str]:
    """Yield the full names of the modules that a file imports when it is imported."""
    package = ".".join(file.relative_to(repository.module).parent.parts)
    for node in repository.scripts.get(file, ast.Module([], [])).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)  # none of ours is imported so
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            outer = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*outer, *([node.module] if node.module else [])])
            yield from (".".join(base.split(".")[: count + 1]) for count in range(base.count(".") + 1))  # with its packages
            yield from (f"{base}.{alias.name}" for alias in node.names if _file_of(repository, f"{base}.{alias.name}"))


def _file_of(repository: Repository, name: str) -> Path | None:
    """Return the file of a module of the extension; None for others."""
    path = repository.module.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file in repository.scripts), None)


def check_installs(repository: Repository) -> Iterator[str]:
    """Check that torch is left to its own extension, and that no package of Slicer is replaced."""
    for file, tree in repository.scripts.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _installs(node):
                yield f"{file.relative_to(repository.root)}:{node.lineno} installs packages by pip"
    for line in repository.text(f"{repository.name}/Resources/requirements.txt").splitlines():
        if _NOT_OURS_TO_INSTALL.search(line) or "==" in line:
            yield f"requirements.txt asks for {line}, which is not ours to install, or one version alone"


def _installs(call: ast.Call) -> bool:
    """Return whether a call runs pip, or gives Slicer's pip_ensure packages that are not from requirements.txt."""
    texts = {node.value for node in ast.walk(call) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    name = ast.unparse(call.func).split(".")[-1]
    if name == "pip_ensure":
        return any(_NOT_OURS_TO_INSTALL.search(text) for text in texts)
    return name == "pip_install" or {"pip", "install"} <= texts


def check_network(repository: Repository) -> Iterator[str]:
    """Nothing is downloaded or uploaded: no file of the extension imports a library that opens connections."""
    for file, tree in repository.scripts.items():
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in sorted({name for name in names if any(f"{name}.".startswith(f"{each}.") for each in _NETWORK)}):
                yield f"{file.relative_to(repository.root)}:{node.lineno} imports {name}, which opens connections"


def check_lists(repository: Repository) -> Iterator[str]:
    """CMake installs what it lists: it must find the files itself, so that none is forgotten."""
    cmake = repository.text(f"{repository.name}/CMakeLists.txt")
    for variable, pattern in _INSTALLED.items():
        line = f"file(GLOB_RECURSE {variable} RELATIVE ${{CMAKE_CURRENT_SOURCE_DIR}} CONFIGURE_DEPENDS {pattern})"
        if line not in cmake.splitlines():
            yield f"{repository.name}/CMakeLists.txt does not contain {line}"


def check_sample_data(repository: Repository) -> Iterator[str]:
    """The tutorial's data is to be had in the Sample Data module."""
    calls = (node for tree in repository.scripts.values() for node in ast.walk(tree) if isinstance(node, ast.Call))
    if not any(ast.unparse(node.func).endswith("registerCustomSampleDataSource") for node in calls):
        yield "no sample data is registered"


def check_documents(repository: Repository) -> Iterator[str]:
    """The homepage and the tutorial."""
    asked = {
        "the extension's name": rf"^# Slicer{repository.name}$",
        "a picture": r"!\[[^\]]+\]\([^)]+\)",
        "the publication": r"Channel and Spatial Attention Dense Network for Fusing PET and MRI Images",
        "a way to cite": r"CITATION\.cff",
        "the tutorial": r"\(docs/tutorial\.md\)",
        "the module": r"the module `CSpADNFusion`",
    }
    for what, pattern in asked.items():
        if not re.search(pattern, repository.readme, re.MULTILINE):
            yield f"README.md does not have {what}"
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", repository.text("docs/tutorial.md"))
    if sum((repository.root / "docs" / each).is_file() for each in pictures) < _LEAST_PICTURES:
        yield f"docs/tutorial.md has fewer than {_LEAST_PICTURES} pictures"


CHECKS = (
    check_entry,
    check_metadata,
    check_licence,
    check_size,
    check_line_ends,
    check_file_scope,
    check_imports,
    check_installs,
    check_network,
    check_lists,
    check_sample_data,
    check_documents,
)


def findings(root: Path = ROOT) -> list[str]:
    """One line for each thing that the index would not take."""
    repository = Repository(root)
    return [finding for check in CHECKS for finding in check(repository)]


if __name__ == "__main__":
    found = findings()
    print("\n".join(found) or f"Extensions Index: no finding in {len(CHECKS)} checks")
    sys.exit(bool(found))
