"""Machine files: those of the package, a user's own, and what is said about mistakes in them."""

from __future__ import annotations

import pytest

from portable_cortex import load_backend
from portable_cortex.errors import (
    InvalidValueError,
    MachineFileError,
    UnknownNameError,
    UnsupportedError,
)
from portable_cortex.machine import load_machine, machine_names


@pytest.fixture
def write(tmp_path):
    def write(text, name="mine.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_every_shipped_machine_loads():
    assert {"local", "single-thread"} <= set(machine_names())
    for name in machine_names():
        machine = load_machine(name)
        assert machine.name == name
        assert machine.description
        for backend in machine.options:
            machine.options_for(load_backend(backend))


def test_local_runs_every_backend_with_its_defaults():
    machine = load_machine()
    assert machine.name == "local"
    assert machine.backends is None
    backend = load_backend("nest")
    assert machine.options_for(backend) == backend.Options()


def test_single_thread_means_one_thread():
    assert load_machine("single-thread").options_for(load_backend("nest")).threads == 1


def test_a_file_of_ones_own(write):
    path = write('description = "Mine"\nbackends = ["nest", "mock"]\n[options.nest]\nthreads = 3\n')
    for given in (path, str(path)):
        machine = load_machine(given)
        assert machine.name == "mine"
        assert machine.description == "Mine"
        assert machine.backends == ("nest", "mock")
        assert machine.options_for(load_backend("nest")).threads == 3


def test_a_given_option_wins_over_the_file_and_the_file_over_the_default(write):
    nest = load_backend("nest")
    machine = load_machine(write('description = "Mine"\n[options.nest]\nthreads = 3\n'))
    plain = load_machine(write('description = "Plain"\n', "plain.toml"))
    assert plain.options_for(nest).threads == nest.Options().threads
    assert machine.options_for(nest).threads == 3
    assert machine.options_for(nest, {}).threads == 3
    assert machine.options_for(nest, {"threads": "5"}).threads == 5
    assert plain.options_for(nest, {"threads": "5"}).threads == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('descripton = "typo"', ["descripton", "did you mean 'description'"]),
        ('description = "x"\ncores = 4', ["cores", "description, backends, options"]),
        ("backends = ['mock']", ["description", "required"]),
        ("description = 3", ["description", "string", "3"]),
        ('description = "x"\nbackends = "nest"', ["backends", "'nest'"]),
        ('description = "x"\nbackends = [1]', ["backends", "string", "1"]),
        ('description = "x"\noptions = 1', ["options", "1"]),
        ('description = "x"\nname = "y"', ["name"]),
        (
            'description = "x"\nbackends = ["nset"]',
            ["'nset'", "valid are builtin, nest", "did you mean"],
        ),
        ('description = "x"\n[options.nset]\nthreads = 1', ["'nset'", "valid are builtin, nest"]),
        (
            'description = "x"\n[options.nest]\nthread = 1',
            ["[options.nest]", "'thread'", "valid are weights, threads"],
        ),
        (
            'description = "x"\n[options.nest]\nthreads = "4"',
            ["[options.nest]", "threads", "whole number", "'4'"],
        ),
        (
            'description = "x"\n[options.nest]\nthreads = 0',
            ["[options.nest]", "threads", "1 or more", "0"],
        ),
        (
            'description = "x"\n[options.nest]\nthreads = 2.5',
            ["[options.nest]", "threads", "whole number", "2.5"],
        ),
        ('description = "x"\n[options]\nnest = 4', ["options.nest", "4"]),
        ('description = "x', ["TOML"]),
        ("description = x", ["TOML"]),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(write, text, said):
    with pytest.raises(MachineFileError) as raised:
        load_machine(write(text))
    message = str(raised.value)
    assert "mine.toml" in message
    for part in said:
        assert part in message


def test_all_mistakes_are_named_at_once(write):
    with pytest.raises(MachineFileError, match=r"required.*colour"):
        load_machine(write("colour = 1"))


def test_a_missing_file(tmp_path):
    with pytest.raises(MachineFileError, match=r"nowhere\.toml cannot be read"):
        load_machine(tmp_path / "nowhere.toml")


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MachineFileError, match=r"mine\.toml"):
        load_machine(tmp_path / "mine.toml")


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "mine.toml").mkdir()
    with pytest.raises(MachineFileError, match=r"mine\.toml cannot be read"):
        load_machine(tmp_path / "mine.toml")


@pytest.mark.parametrize("name", ["locla", "mine.yaml", "", "local.txt"])
def test_a_name_that_is_neither_machine_nor_toml_file(name):
    with pytest.raises(UnknownNameError) as raised:
        load_machine(name)
    for valid in machine_names():
        assert valid in str(raised.value)
    assert ".toml" in str(raised.value)


def test_a_backend_that_the_machine_does_not_run(write):
    machine = load_machine(write('description = "x"\nbackends = ["nest"]'))
    with pytest.raises(UnsupportedError, match=r"'mine' runs nest, not 'mock'"):
        machine.options_for(load_backend("mock"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"thread": "4"}, ["'thread'", "threads", "did you mean"]),
        ({"threads": "four"}, ["threads", "whole number", "'four'"]),
        ({"threads": "0"}, ["threads", "1 or more"]),
    ],
)
def test_a_given_option_that_cannot_be(given, said):
    with pytest.raises(InvalidValueError) as raised:
        load_machine().options_for(load_backend("nest"), given)
    for part in ["'nest'", *said]:
        assert part in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "a=" + "[" * 5000 + "]" * 5000,
        "description='x'\n[options.builtin]\nthreads = " + "9" * 5000,
        "description='x'\n[options.builtin]\nthreads = '" + "9" * 50_000 + "'",
        "description='x'\n[options.builtin]\n" + ".".join(["threads"] * 3000) + " = 1",
        "description='x'\noptions." + ".".join("a" * 900) + " = 1",
    ],
)
def test_a_file_that_is_too_much_of_something(write, text):
    with pytest.raises(MachineFileError) as raised:
        load_machine(write(text))
    assert "mine.toml" in str(raised.value)
    assert len(str(raised.value)) < 3000
