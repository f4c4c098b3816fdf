"""Finding backends: built-in ones, those of other packages, and those that are not installed."""

from __future__ import annotations

import importlib.util
import sys
import textwrap

import pytest

import portable_cortex
from portable_cortex import Backend, backend_names, load_backend, run, simulator
from portable_cortex.errors import BackendUnavailableError, UnknownNameError

GOOD = """
    import portable_cortex
    from portable_cortex import Backend, Capabilities

    class TestBackend(Backend):
        name = "{name}"
        summary = "of another package"
        capabilities = Capabilities(
            arithmetic="none", timesteps=(0.1, 1.0), delays=(1, 100.0), weights="float64",
            cell_types=("IF_curr_exp", "SpikeSourcePoisson"), dynamics=False,
        )

        def simulator(self, options):
            return portable_cortex.simulator("mock")

    class NoBackend:
        pass

    class Unfinished(Backend):
        pass
"""


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """Make a folder look like an installed package that registers a backend."""
    modules = []

    def make(name, module, target, code=GOOD):
        folder = tmp_path / module
        info = folder / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[portable_cortex.backends]\n{name} = {target}\n")
        if code is not None:
            source = textwrap.dedent(code).replace("{name}", name)
            (folder / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(str(folder))
        modules.append(module)

    yield make
    for module in modules:
        sys.modules.pop(module, None)


def test_built_in_backends():
    assert {"nest", "mock"} <= set(backend_names())
    for name in ("nest", "mock"):
        backend = load_backend(name)
        assert isinstance(backend, Backend)
        assert backend.name == name


def test_each_run_gets_its_own_instance():
    assert load_backend("mock") is not load_backend("mock")


def test_unknown_backend_lists_the_names():
    with pytest.raises(UnknownNameError) as raised:
        load_backend("mokc")
    for name in backend_names():
        assert name in str(raised.value)
    assert "did you mean 'mock'" in str(raised.value)


def test_a_backend_of_another_package(distribution):
    distribution("elsewhere", "pc_elsewhere", "pc_elsewhere:TestBackend")
    assert "elsewhere" in backend_names()
    assert load_backend("elsewhere").summary == "of another package"
    recording = run(backend="elsewhere", scale=0.005, warmup=0.0, duration=10.0)
    assert recording.metadata["backend"] == "elsewhere"
    assert recording.populations == ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")


def test_a_backend_is_listed_without_being_imported(distribution):
    distribution("elsewhere", "pc_unloaded", "pc_unloaded:TestBackend")
    assert "elsewhere" in backend_names()
    assert "pc_unloaded" not in sys.modules


def test_a_built_in_name_cannot_be_taken_over(distribution):
    distribution("mock", "pc_thief", "pc_thief:TestBackend")
    assert backend_names().count("mock") == 1
    assert type(load_backend("mock")).__module__ == "portable_cortex.backends.mock"
    assert "pc_thief" not in sys.modules


@pytest.mark.parametrize(
    ("code", "target"),
    [
        (None, "pc_broken:TestBackend"),
        (GOOD, "pc_broken:Missing"),
        (GOOD, "pc_broken:NoBackend"),
        (GOOD, "pc_broken:Unfinished"),
        ("import a_simulator_that_is_not_here", "pc_broken:TestBackend"),
        ("def broken(:", "pc_broken:TestBackend"),
        ("raise RuntimeError('no licence')", "pc_broken:TestBackend"),
    ],
    ids=["no module", "no class", "no backend", "abstract", "import fails", "syntax", "raises"],
)
def test_a_broken_backend_of_another_package(distribution, code, target):
    distribution("broken", "pc_broken", target, code)
    with pytest.raises(BackendUnavailableError, match="'broken'"):
        load_backend("broken")
    # and it does not keep the others from being used
    assert load_backend("mock").name == "mock"


def test_a_missing_simulator_names_the_command_that_installs_it(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, package=None: None if name == "nest" else find(name, package),
    )
    found = load_backend("nest").availability()
    assert not found.available
    assert found.version is None
    assert found.install == "pip install 'portable-cortex[nest]'"
    for use in (
        lambda: load_backend("nest").require(),
        lambda: simulator("nest"),
        lambda: run(backend="nest", scale=0.01, duration=1.0),
    ):
        with pytest.raises(BackendUnavailableError) as raised:
            use()
        assert "run pip install 'portable-cortex[nest]'" in str(raised.value)
        assert "nest" in str(raised.value)


def test_a_missing_simulator_below_a_missing_package():
    # a dotted module whose parent is not there either
    class Elsewhere(Backend):
        name, summary, module = "elsewhere", "", "a_package_that_is_not_here.sim"
        requirement = "elsewhere"
        capabilities = load_backend("mock").capabilities

        def simulator(self, options):
            raise AssertionError("not reached")

    assert not Elsewhere().availability().available
    with pytest.raises(BackendUnavailableError, match="pip install 'elsewhere'"):
        Elsewhere().require()


def test_the_mock_backend_is_always_there():
    assert load_backend("mock").availability().available
    assert portable_cortex.simulator("mock").setup(timestep=0.1) == 0
