"""The registry, on distributions made by the test."""

import subprocess
import sys

import pytest

from benchmark.discovery import first_line, locate
from benchmark.errors import RegistryError
from benchmark.registry import Registry, datasets, methods

METHOD = '''
"""Methods from elsewhere."""
from benchmark.method import Method, MethodCard, Params


class Nothing(Method):
    """Scores nothing.

    And says no more.
    """

    supervision = frozenset()
    card = MethodCard("Nothing", "nobody", "none")
    Params = Params
    presets = {"paper": {}, "quick": {}, "smoke": {}}

    def fit(self, train, validation, context):
        pass

    def predict(self, slide, labels, context):
        raise NotImplementedError

    def state(self):
        return {}

    def restore(self, state, context):
        pass


class Other(Nothing):
    """Named by itself."""

    name = "other"


class Unfinished(Method):
    """Lacks its methods."""


number = 3
'''


def test_listing_imports_nothing_and_names_the_origin(distribution):
    poisoned = METHOD.replace("from benchmark", "raise SystemExit('imported')\nfrom benchmark", 1)
    distribution("elsewhere", modules={"far.things": poisoned}, methods={"nothing": "far.things:Nothing"})
    entry = methods().entry("nothing")
    assert "nothing" in methods().names() and "nothing" in methods()
    assert (entry.summary, entry.distribution, entry.version) == ("Scores nothing.", "elsewhere", "1.0")
    assert entry.target == "far.things:Nothing" and entry.kind == "method"
    assert "far" not in sys.modules


def test_parents_are_not_imported_to_read_a_summary(distribution):
    modules = {"heavy.__init__": "raise SystemExit('imported')", "heavy.sub": 'class A:\n    """Light."""\n'}
    distribution("elsewhere", modules=modules, methods={"a": "heavy.sub:A", "b": "heavy.absent:B", "c": "gone:C"})
    assert [methods().entry(name).summary for name in "abc"] == ["Light.", "", ""]


def test_a_namespace_package_in_another_has_no_summary(distribution):
    distribution("elsewhere", modules={"far.away.things": METHOD}, methods={"nothing": "far.away.things:Nothing"})
    assert methods().entry("nothing").summary == ""
    assert methods().load("nothing").name == "nothing"


def test_load_gives_the_class_its_name(distribution):
    distribution(
        "elsewhere", modules={"things": METHOD}, methods={"nothing": "things:Nothing", "other": "things:Other"}
    )
    assert methods().load("nothing").name == "nothing"
    assert methods().load("other").name == "other"
    assert methods().load("nothing") is methods().load("nothing")


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("nothing", "things:number", "not a subclass of benchmark.method.Method"),
        ("nothing", "things:Unfinished", "abstract; not implemented: fit, predict, restore, state"),
        ("nothing", "things:Missing", "AttributeError"),
        ("nothing", "nowhere:Nothing", "No module named 'nowhere'"),
        ("nothing", "things:Other", "names itself 'other'"),
        ("nothing", "broken:Nothing", "ZeroDivisionError: division by zero"),
        ("nothing", "bare:Nothing", "lacks the class attributes: card"),
    ],
)
def test_a_broken_plug_in_is_named_and_the_others_work(distribution, name, target, expected):
    bare = METHOD.replace('    card = MethodCard("Nothing", "nobody", "none")\n', "")
    modules = {"things": METHOD, "broken": "1 / 0\n", "bare": bare}
    distribution("elsewhere", modules=modules, methods={name: target, "good": "things:Nothing"})
    with pytest.raises(RegistryError, match="elsewhere 1.0") as caught:
        methods().load(name)
    assert expected in caught.value.what and repr(name) in caught.value.what
    assert methods().load("good").name == "good"


def test_one_class_under_two_names_is_refused(distribution):
    distribution("elsewhere", modules={"things": METHOD}, methods={"one": "things:Nothing", "two": "things:Nothing"})
    methods().load("one")
    with pytest.raises(RegistryError, match="'two'.*names itself 'one'"):
        methods().load("two")


def test_one_name_from_two_distributions_names_both(distribution):
    distribution("first", modules={"one": METHOD}, methods={"same": "one:Nothing"})
    distribution("second", modules={"two": METHOD}, methods={"same": "two:Nothing"})
    with pytest.raises(RegistryError) as caught:
        methods().names()
    assert "one:Nothing from first 1.0" in caught.value.what and "two:Nothing from second 1.0" in caught.value.what
    assert caught.value.fix == "pip uninstall second"
    datasets().names()


def test_one_name_twice_in_one_distribution(distribution):
    site = distribution("first", modules={"one": METHOD}, methods={"same": "one:Nothing"})
    points = site / "first-1.0.dist-info" / "entry_points.txt"
    points.write_text("[bench.methods]\nsame = one:Nothing\nsame = one:Other\n")
    with pytest.raises(RegistryError, match="registered twice"):
        methods().names()


def test_a_stale_copy_of_the_same_distribution_is_no_conflict(distribution):
    distribution("first", modules={"one": METHOD}, methods={"same": "one:Nothing"})
    distribution("first", methods={"same": "one:Nothing"}, folder="stale")
    assert methods().load("same").name == "same"


@pytest.mark.parametrize("name", ["all", "Upper", "two words", "a:b", "a,b"])
def test_names_that_the_command_line_cannot_take(distribution, name):
    distribution("first", modules={"one": METHOD}, methods={name: "one:Nothing"})
    with pytest.raises(RegistryError, match="is not a valid method name"):
        methods().names()


def test_unknown_names_are_met_with_the_nearest(distribution):
    distribution("first", modules={"one": METHOD}, methods={"nothing": "one:Nothing"})
    with pytest.raises(RegistryError, match="did you mean 'nothing'") as caught:
        methods().load("nothin")
    assert caught.value.fix == "bench list"
    distribution("second", modules={"two": METHOD}, methods={"nothing-else": "two:Nothing"})
    with pytest.raises(RegistryError, match="did you mean 'nothing' or 'nothing-else'"):
        methods().load("nothin")
    with pytest.raises(RegistryError, match="there are: .*nothing"):
        methods().load("qqqqqqqq")


def test_an_empty_group():
    nobody = Registry("sweep", "bench.nobody", "benchmark.method:Method")
    assert nobody.names() == [] and nobody.entries() == []
    with pytest.raises(RegistryError, match="there are: none"):
        nobody.load("x")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('class A:\n    """One.\n\n    Two.\n    """\n    x = 1\n', "One."),
        ('class A(\n    B,\n):\n    """One."""\n\n    def f(self):\n        return "("\n', "One."),
        ('class A(B): """One."""\n', "One."),
        ("class A:\n    x = 1\n", ""),
        ("class AB:\n    '''Other.'''\n", ""),
        ('class A(:\n    """One."""\n', ""),
        (
            'def f():\n    pass\n\n\n@decorated\nclass A:\n    """One."""\n\n    @property\n    def x(self): ...\n',
            "One.",
        ),
    ],
)
def test_first_line_of_a_docstring(source, expected):
    assert first_line(source, "A") == expected


def test_locate_finds_what_python_would_import():
    import json.decoder

    assert str(locate("json.decoder")) == json.decoder.__file__
    assert locate("json.nothing") is None and locate("sys") is None and locate("nothing.at.all") is None


def test_what_comes_with_the_harness_is_registered():
    assert {"oeem", "cam-seg", "ohem", "pspnet"} <= set(methods().names())
    assert "glas" in datasets()


def test_listing_in_a_fresh_process_imports_no_heavy_library():
    code = (
        "import sys; from benchmark.registry import methods, datasets\n"
        "[e.summary for e in methods().entries() + datasets().entries()]\n"
        "print([m for m in ('torch', 'numpy', 'pydantic', 'rich', 'mlflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
