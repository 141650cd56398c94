"""The docstrings of Python's standard library, labelled by chapter of the Library Reference.

They make a text classification dataset that every machine with Python has. The text is a docstring; the class is the
chapter of https://docs.python.org/3/library/ that describes its module. Sources are read, and no module is imported.
"""

import ast
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

from seqtrain.errors import DataError

# Chapter -> modules and packages, in the order of the reference. The layout is that of Python 3.14 for every version,
# so that a label does not depend on the interpreter: 3.11 and 3.12 still had argparse and curses under operating system
# services, and cmd, shlex and turtle under program frameworks. Modules that 3.14 no longer has are in the chapter that
# last described them. Private files come after the modules that they implement. Files that belong to no single
# documented module, such as _colorize and _pyrepl, are left out.
CHAPTERS: dict[str, tuple[str, ...]] = {
    chapter: tuple(modules.split())
    for chapter, modules in {
        "Text Processing": """string re difflib textwrap unicodedata stringprep readline rlcompleter
            sre_compile sre_constants sre_parse""",
        "Binary Data": "struct codecs encodings",
        "Data Types": """datetime zoneinfo calendar collections heapq bisect array weakref types copy pprint reprlib
            enum graphlib _collections_abc _pydatetime _weakrefset""",
        "Numeric and Mathematical": "numbers math cmath decimal fractions random statistics _pydecimal",
        "Functional Programming": "itertools functools operator",
        "File and Directory Access": """pathlib os.path stat filecmp tempfile glob fnmatch linecache shutil
            genericpath ntpath posixpath""",
        "Data Persistence": "pickle copyreg shelve marshal dbm sqlite3 _compat_pickle",
        "Data Compression and Archiving": "compression zlib gzip bz2 lzma zipfile tarfile _compression",
        "File Formats": "csv configparser tomllib netrc plistlib",
        "Cryptographic Services": "hashlib hmac secrets",
        "Operating System Services": "os io time logging platform errno ctypes _ios_support _pyio _strptime",
        "Command-Line Interfaces": "argparse optparse getpass fileinput curses cmd",
        "Concurrent Execution": """threading multiprocessing concurrent subprocess sched queue contextvars _thread
            _bootsubprocess _threading_local""",
        "Networking and Interprocess Communication": "asyncio socket ssl select selectors signal mmap",
        "Internet Data Handling": "email json mailbox mimetypes base64 binascii quopri",
        "Structured Markup Processing": "html xml pyexpat _markupbase",
        "Internet Protocols": """webbrowser wsgiref urllib http ftplib poplib imaplib smtplib uuid socketserver xmlrpc
            ipaddress nturl2path""",
        "Multimedia": "wave colorsys",
        "Internationalization": "gettext locale",
        "Graphical User Interfaces": "tkinter idlelib turtle",
        "Development Tools": "typing pydoc pydoc_data doctest unittest lib2to3",
        "Debugging and Profiling": "bdb faulthandler pdb profile cProfile pstats profiling timeit trace tracemalloc",
        "Packaging and Distribution": "ensurepip venv zipapp distutils",
        "Runtime Services": """sys sysconfig builtins __main__ warnings dataclasses contextlib abc atexit traceback
            __future__ gc inspect annotationlib site _aix_support _osx_support _py_abc _py_warnings _sitebuiltins""",
        "Custom Interpreters": "code codeop",
        "Importing Modules": "zipimport pkgutil modulefinder runpy importlib imp",
        "Language Services": """ast symtable token keyword tokenize tabnanny pyclbr py_compile compileall dis
            pickletools opcode _ast_unparse _opcode_metadata""",
        "MS Windows": "msvcrt winreg winsound",
        "Unix": "shlex posix pwd grp termios tty pty fcntl resource syslog",
        "Superseded": """getopt aifc asynchat asyncore audioop cgi cgitb chunk crypt imghdr mailcap msilib nis nntplib
            ossaudiodev pipes smtpd sndhdr spwd sunau telnetlib uu xdrlib""",
    }.items()
}
_CHAPTER_OF = {module: chapter for chapter, modules in CHAPTERS.items() for module in modules}
_TEST_FOLDERS = {"test", "tests", "idle_test"}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def read_docstrings(library: Path | None = None) -> tuple[list[str], list[str]]:
    """Docstrings of modules, classes, functions and methods, each with its chapter of the Library Reference.

    Test packages, files that cannot be parsed, docstrings of fewer than three words, and texts that occur in several
    chapters are left out. A text that occurs more than once in one chapter is kept once. Two texts are equal if they
    differ only in whitespace.

    Args:
        library: folder of the standard library's sources; None for that of the running interpreter.

    Returns:
        The texts, cleaned as by `inspect.cleandoc`, and the titles of their chapters (keys of `CHAPTERS`), sorted by
        module name, then by position in the file.

    Raises:
        DataError: if the folder holds no such docstrings, because the sources are zipped or stripped.
    """
    library = Path(sysconfig.get_path("stdlib")) if library is None else library
    texts: dict[str, str] = {}
    chapters: dict[str, set[str]] = {}
    for module, path in library_sources(library):
        for text in _docstrings(path):
            words = text.split()
            if len(words) >= 3:
                key = " ".join(words)
                texts.setdefault(key, text)
                chapters.setdefault(key, set()).add(_chapter(module))
    if not texts:
        raise DataError(
            f"no docstrings of the standard library in {library}: its .py sources are missing (zipped or stripped); "
            "run seqtrain with a full installation of Python, or choose another dataset"
        )
    kept = [key for key in texts if len(chapters[key]) == 1]
    return [texts[key] for key in kept], [next(iter(chapters[key])) for key in kept]


def library_sources(library: Path) -> list[tuple[str, Path]]:
    """Dotted name and file of every module that is in a chapter, sorted by name."""
    sources = []
    for package in {module.partition(".")[0] for module in _CHAPTER_OF}:
        for path in (*library.glob(f"{package}.py"), *library.glob(f"{package}/**/*.py")):
            parts = path.relative_to(library).with_suffix("").parts
            module = ".".join(parts).removesuffix(".__init__")
            if _chapter(module) and _TEST_FOLDERS.isdisjoint(parts):
                sources.append((module, path))
    return sorted(sources)


def _chapter(module: str) -> str:
    """Chapter of the longest listed prefix of a dotted name; empty if there is none."""
    while module and module not in _CHAPTER_OF:
        module = module.rpartition(".")[0]
    return _CHAPTER_OF.get(module, "")


def _docstrings(path: Path) -> Iterator[str]:
    """Docstrings of a file from top to bottom; none if it cannot be read or parsed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in the sources, which the user cannot change
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)):
            yield text
        children = (child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr))
        pending.extend(reversed(list(children)))
