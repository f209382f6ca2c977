"""explain.py - why was a function recorded, and recorded again?  `explain(g)` tells, with source lines.

Owns: the text.  The events are kept by the cached callable (function.py): dicts with `kind` ("first", "guard",
"state", "shape" or "static"), `detail` and, where there is one, `location` ("file:line").
Must not know: tapes.
"""
import linecache
import os
from collections.abc import Iterable
from typing import Any

__all__ = ["explain"]

_REASONS = {
    "first": "the first call",
    "guard": "a decision went the other way",
    "state": "something that the function reads has changed",
    "shape": "arguments of another shape, dtype or structure",
    "static": "another value of an argument that is no float or array",
}


def _source(location: str) -> str:
    """The source line at 'file:line', or ''."""
    file, _, line = location.rpartition(":")
    return linecache.getline(file, int(line)).strip() if line.isdigit() else ""


def _event_text(event: dict[str, Any]) -> str:
    text = _REASONS.get(event["kind"], str(event["kind"]))
    if event.get("detail"):
        text += f": {event['detail']}"
    location = event.get("location")
    if location and location != "?":
        file, _, line = location.rpartition(":")
        text += f"\n       {os.path.basename(file)}:{line}"
        source = _source(location)
        text += f"    {source}" if source else ""
    return text


def _grouped(events: Iterable[dict[str, Any]]) -> list[tuple[str, int]]:
    """Texts of events with the number of times that each came in a row."""
    texts: list[tuple[str, int]] = []
    for event in events:
        text = _event_text(event)
        if texts and texts[-1][0] == text:
            texts[-1] = (text, texts[-1][1] + 1)
        else:
            texts.append((text, 1))
    return texts


def explain(g: Any) -> str:
    """Why a differentiated function was recorded as often as it was.

    Parameters
    ----------
    g : callable
        What `ad.grad` and its kin have returned.

    Returns
    -------
    str
        One line a recording, with the source lines of the decisions; `print` it.

    Raises
    ------
    TypeError
        g is not a function made by one of fastad's verbs.

    Examples
    --------
    >>> import fastad as ad
    >>> g = ad.grad(lambda x: x**2 if x > 0 else -x)
    >>> g(2.0), g(-1.0)
    (np.float64(4.0), np.float64(-1.0))
    >>> print(ad.explain(g))                        # doctest: +ELLIPSIS
    <lambda>: 2 recordings
    ...
    """
    events = getattr(g, "events", None)
    name = getattr(g, "__name__", None) or getattr(g, "name", None) or repr(g)
    if events is None:
        raise TypeError(f"explain: {name} is not a function made by ad.grad, ad.jacobian or another of fastad's verbs")
    if not events:
        return f"{name}: not recorded yet"
    lines = [f"{name}: {len(events)} recording{'s' if len(events) > 1 else ''}"]
    number = 1
    for text, count in _grouped(events):
        label = f"{number}" if count == 1 else f"{number}-{number + count - 1}"
        lines.append(f"  {label}. {text}")
        number += count
    return "\n".join(lines)
