# SPDX-License-Identifier: MIT
# test_interface - what the package promises: every function of evy.h, types and docstrings for all public.

import inspect
import pathlib
import re
import typing

import evy
import pytest
from evy import _lib
from evy.web import wsgi

HEADER = (pathlib.Path(__file__).resolve().parents[3] / "Include" / "evy.h").read_text()
CODE = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.S)


def test_every_function_of_the_header_has_its_types():
    declared = {
        name: [] if arguments.strip() == "void" else arguments.split(",")
        for name, arguments in re.findall(r"EVY_API[^;(]*?\b(evy_\w+)\(([^;]*?)\);", CODE)
    }
    # Has to be called with the interpreter's lock held, which a call by this table gives up.
    declared.pop("evy_config_python", None)
    assert set(_lib.SIGNATURES) >= set(declared) and len(declared) > 80
    wrong = [name for name in declared if len(_lib.SIGNATURES[name][1]) != len(declared[name])]
    assert not wrong
    for name in set(_lib.SIGNATURES) - set(declared) - {"evy_config_python"}:
        pytest.fail(f"{name} is not in evy.h")


@pytest.mark.parametrize("prefix", ["EVY_STAT_", "EVY_LOG_", "EVY_VERIFY_", "EVY_E_"])
def test_constants_are_those_of_the_header(prefix):
    numbers = re.findall(rf"\b{prefix}(\w+) = (-?\d+)", CODE)
    short = prefix.replace("EVY_", "")
    shared = [(name, number) for name, number in numbers if hasattr(_lib, short + name)]
    assert len(shared) >= 3
    assert all(getattr(_lib, short + name) == int(number) for name, number in shared)


def test_counters_are_those_of_the_header():
    names = [name.lower() for name, _ in re.findall(r"\bEVY_N_(\w+) = (\d+)", CODE)]
    fields = list(wsgi.Stats._fields)
    assert names[: len(fields)] == fields


def public():
    for module in (evy, wsgi):
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing):
                yield name, thing
                for key, member in vars(thing).items():
                    if inspect.isfunction(member) and not key.startswith("_"):
                        yield f"{name}.{key}", member
            elif inspect.isfunction(thing):
                yield name, thing


@pytest.mark.parametrize("name, thing", list(public()))
def test_everything_public_is_typed_and_described(name, thing):
    assert inspect.getdoc(thing), name
    function = thing.__init__ if inspect.isclass(thing) else thing
    # PyPy shows functions where CPython's built-in classes have none.
    is_own = not inspect.isclass(thing) or any(
        "__init__" in vars(one) for one in thing.__mro__ if one.__module__.startswith("evy")
    )
    if not is_own or not inspect.isfunction(function) or getattr(thing, "_fields", None):
        return
    parameters = set(inspect.signature(function).parameters) - {"self"}
    annotated = set(function.__annotations__)
    assert parameters <= annotated, f"{name}: {parameters - annotated}"
    assert "return" in annotated or function.__name__ == "__init__", name


def test_the_package_says_that_it_is_typed():
    assert (pathlib.Path(evy.__file__).parent / "py.typed").exists()
    assert typing.get_type_hints(wsgi.Stats)["requests_total"] is int


def test_errors_are_caught_as_what_python_programs_expect():
    for kind, natural in (
        (evy.ConfigError, ValueError),
        (evy.StateError, RuntimeError),
        (evy.ListenError, OSError),
        (evy.LogError, OSError),
        (evy.ClientGone, ConnectionError),
        (evy.BodyError, OSError),
        (evy.ChunkReadError, ValueError),
    ):
        assert issubclass(kind, natural) and issubclass(kind, evy.Error)


def test_the_old_spellings():
    import evy.wsgi
    from evy.wsgi import ALREADY_HANDLED, server

    assert evy.wsgi is wsgi and server is wsgi.server and ALREADY_HANDLED is wsgi.ALREADY_HANDLED
    assert list(ALREADY_HANDLED) == []
