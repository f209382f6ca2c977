"""What a user sees first: the public names, their documentation, and that every example in it was run.

Owns: the level that documentation has to reach.  Must not know: what the names do (test_docs.py runs the examples).
"""
import doctest
import inspect
import re

import pytest

import fastad as ad
from fastad import optimize, plot

PUBLIC = [(module, name) for module in (ad, optimize, plot) for name in module.__all__]
ERRORS = [name for name in ad.__all__ if name.endswith(("Error", "Divergence"))]
CALLABLE = [(module, name) for module, name in PUBLIC if name not in ERRORS]
NAMES = {"ids": lambda value: value if isinstance(value, str) else value.__name__}


def sections(text):
    """The numpydoc sections of a docstring: heading -> text."""
    parts = re.split(r"^(\w[\w ]*)\n-+\n", text, flags=re.MULTILINE)
    return {"Summary": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


@pytest.mark.parametrize("module, name", CALLABLE, **NAMES)
def test_docstring_is_complete(module, name):
    """A summary line, every parameter, the result, the errors, and an example that test_docs.py runs."""
    thing = getattr(module, name)
    found = sections(inspect.getdoc(thing))
    assert re.match(r"[^\n]{20,120}[.:]\n", found["Summary"] + "\n"), found["Summary"]
    if name != "Tape":                                  # made by record, never called with arguments of its own
        described = found.get("Parameters", "")
        for parameter in inspect.signature(thing).parameters.values():
            words = f"**{parameter.name}" if parameter.kind is parameter.VAR_KEYWORD else parameter.name
            assert words in described, f"{name}: nothing on the parameter {words}"
    assert isinstance(thing, type) or "Returns" in found
    assert "Raises" in found or name in ("peek", "stop_gradient", "get_num_threads")       # these two refuse nothing
    assert doctest.DocTestParser().get_examples(found["Examples"]), f"{name}: no example"


@pytest.mark.parametrize("name", ERRORS)
def test_errors_say_what_they_mean(name):
    error = getattr(ad, name)
    assert len(inspect.cleandoc(error.__doc__).splitlines()[0]) > 30
    assert name == "AdError" or issubclass(error, ad.AdError)


@pytest.mark.parametrize("module", [ad, optimize, plot], **NAMES)
def test_completion_shows_public_names_only(module):
    shown = {name for name in dir(module) if not name.startswith("__")}
    assert shown == set(module.__all__) | ({"optimize", "plot"} if module is ad else set())
    assert all(getattr(module, name) is not None for name in shown)


def test_help_is_useful():
    """What help(ad.grad) prints begins with the call."""
    import pydoc
    text = pydoc.plain(pydoc.render_doc(ad.grad))
    assert "grad(f, argnums=0, has_aux=False, audit=True, memory=None, disk=None)" in text and "Examples" in text
