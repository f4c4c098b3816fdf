"""The compiled part of the emulated SpiNNaker board; all else is in pyproject.toml.

It is loaded through ctypes and knows nothing of Python: one build serves every Python 3 of a
platform, and so does the wheel.
"""

from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

NATIVE = Path("backends/spinnaker/board/native")


class Library(build_ext):
    """A library without a version of Python in its name."""

    def get_ext_filename(self, fullname: str) -> str:
        """Path of the library of a module."""
        return str(Path(*fullname.split("."))) + ".so"


class Wheel(bdist_wheel):
    """For every Python 3, on the platform of the library."""

    def get_tag(self) -> tuple[str, str, str]:
        """Versions of Python, of its binary interface, and platform."""
        return "py3", "none", super().get_tag()[2]


setup(
    cmdclass={"build_ext": Library, "bdist_wheel": Wheel},
    ext_modules=[
        Extension(
            "portable_cortex.backends.spinnaker.board._native",
            sources=sorted(str(path) for path in NATIVE.glob("*.c")),
            depends=sorted(str(path) for path in NATIVE.glob("*.h")),
            extra_compile_args=["-O2", "-std=gnu11", "-pthread"],
            extra_link_args=["-pthread"],
            optional=True,  # where there is no C compiler everything else installs
        )
    ],
)
