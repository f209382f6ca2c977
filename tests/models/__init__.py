"""Forward models in plain NumPy, as people write them: what fastad is tested on but was not written for.

Owns: the register, `model` and `refused`.  Must not import fastad, and no model may know of it: each is typed from its
formula, in some style of its own (loops, fills, buffers in rotation, closures, classes, tables ...), short, with the
arguments at which it is tested.  One file a field.  Next: tests/test_models.py, which holds every model to plain NumPy.
"""
import dataclasses
import importlib

FIELDS = ("minimization", "least_squares", "potential", "electromagnetics", "waves", "groundwater", "stencils",
          "dynamics", "life", "optics", "finance", "signals", "statistics", "learning", "numerics", "styles",
          "inference", "scipy_users", "solid_earth", "water_and_ice", "sky", "chemistry", "economy", "habits")


@dataclasses.dataclass
class Model:
    """A function with the arguments at which it is tested.

    spread is the relative size of the steps away from there.  analytic: the complex step works; smooth: its second
    derivatives may be compared with differences; branches: Python decides on its values, so steps may record again.
    """

    function: object
    args: tuple
    spread: float = 0.03
    analytic: bool = True
    smooth: bool = True
    branches: bool = False
    fixed: tuple = ()
    kwargs: dict = dataclasses.field(default_factory=dict)

    @property
    def name(self):
        return f"{self.function.__module__.split('.')[-1]}.{self.function.__name__}"


@dataclasses.dataclass
class Refused:
    """A function that cannot be recorded, and what the error has to say."""

    function: object
    args: tuple
    says: str

    @property
    def name(self):
        return self.function.__name__


MODELS, REFUSED = [], []


def model(*args, **options):
    """Registers the function under it; the first argument is what is differentiated."""
    def register(function):
        MODELS.append(Model(function, args, **options))
        return function
    return register


def refused(*args, says):
    def register(function):
        REFUSED.append(Refused(function, args, says))
        return function
    return register


def load():
    """All models, of all fields."""
    for field in (*FIELDS, "refusals"):
        importlib.import_module(f"tests.models.{field}")
    return MODELS, REFUSED
