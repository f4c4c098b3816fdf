"""Brian2's compiled programs, kept alive between runs.

Brian2 makes a program that runs once, from start to end. A few lines added to its ``main`` make it
wait for orders instead: run for so long, write what was recorded. So the network is built once,
warm-up and simulation are separate, progress is seen, and results can be read in between. What it
is compiled from depends on neither seed nor synapses, and what was compiled is kept.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import brian2
import numpy as np
from brian2.core.variables import DynamicArrayVariable
from brian2.devices.device import get_device, reset_device

from portable_cortex.backend import Progress
from portable_cortex.errors import SimulationError
from portable_cortex.support import refusal

from ._compile import compile_program, require_compiler
from ._cuda import compile_cuda, complete, require_cuda
from ._groups import Array, Lowered
from ._handover import Handover
from ._injection import Piece
from ._lowering import lower
from ._memory import freeing, spare
from ._plastic import TRANSMITTED
from ._program import Program, seed_of
from ._simulator import State

MAIN = """
#pragma GCC diagnostic ignored "-Wunused-result"
static std::vector<double> currents;
static int64_t first_of_currents;
%(inject)s
std::cout << "ready" << std::endl;
for (std::string order; std::cin >> order;) {
    if (order == "seed") {
        unsigned long seed;
        std::cin >> seed;
        %(seed)s
    } else if (order == "run") {
        double start, stop;
        std::cin >> start >> stop;
        network.t = start;
        network.run(stop - start,
            [](const double, const double completed, const double, const double) {
                std::cout << "progress " << completed << std::endl;
            }, 0.5);
        %(check)s
    } else if (order == "currents") {
        size_t size;
        std::cin >> first_of_currents >> size;
        currents.resize(size);
        std::ifstream file("currents", std::ios::binary);
        file.read(reinterpret_cast<char*>(currents.data()), size*sizeof(double));
    } else if (order == "write") {
        %(write)s
    } else if (order == "weights") {
        %(weights)s
    }
    std::cout << "done" << std::endl;
}
std::_Exit(0);
"""
WRITE, WEIGHTS = "write", "weights"  # orders
SEED = "for (auto& generator : brian::_random_generators) generator.seed(seed++);"
SYNCHRONIZE = "CUDA_SAFE_CALL(cudaDeviceSynchronize());"


class Standalone(Program):
    """A program that Brian2 generated, in C++ with OpenMP or in CUDA."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self._cuda = state.options.mode == "cuda_standalone"
        (require_cuda if self._cuda else require_compiler)()
        if self._cuda and any(source.cells for source in state.current_sources):
            raise refusal(
                "brian2",
                "current source: in mode cuda_standalone",
                "inject currents in mode cuda_standalone",
                "Set i_offset, or take mode cpp_standalone",
            )
        self._folder = tempfile.TemporaryDirectory(prefix="portable-cortex-")
        self._process: subprocess.Popen[str] | None = None
        self._written: dict[str, int] = {}  # the steps at which it was ordered
        threads = state.options.threads
        # one thread needs no OpenMP
        brian2.prefs["devices.cpp_standalone.openmp_threads"] = threads if threads > 1 else 0
        brian2.set_device(state.options.mode, build_on_run=False, with_output=False)
        device = get_device()
        try:
            self._generate(state, device)
        finally:
            device.reinit()
            reset_device()
        self._start(state)

    def _generate(self, state: State, device: Any) -> None:
        """Write the program's source and arrays, and compile it."""
        path = Path(self._folder.name)
        if self._cuda:
            brian2.seed(seed_of(state))
        else:
            spare(device, path)
        self.lowered = lower(state)
        self.lowered.network.run(0 * brian2.ms, namespace={})
        self._files: dict[tuple[Any, str], tuple[Path, Any, str]] = {}
        write: dict[str, list[str]] = {
            WRITE: ["_write_arrays();"] if self._cuda else [],
            WEIGHTS: [],
        }
        for owner, variable, order in _wanted(self.lowered):
            array = owner.variables[variable]
            file = path / "results" / Path(device.get_array_filename(array)).name
            self._files[owner.name, variable] = file, array.dtype, order
            if not self._cuda:
                write[order].append(_write_code(device, array, file.name))
        orders = MAIN % {
            **{order: "\n        ".join(lines) for order, lines in write.items()},
            "inject": _inject_code(device, self.lowered, path),
            "seed": "" if self._cuda else SEED,  # Brian2CUDA's own: numbers are made on the device
            "check": SYNCHRONIZE if self._cuda else self._check_code(device),
        }
        if not self._cuda:
            device.main_queue[:] = list(freeing(device))
            device.insert_code("main", orders)
        device.build(directory=str(path), compile=False, run=False, with_output=False)
        began = time.perf_counter()
        if self._cuda:
            complete(path, orders, {file.name for file, *_ in self._files.values()})
            compile_cuda(path)
        else:
            compile_program(path, device.writer.source_files, state.options.threads > 1)
        self.compile_seconds = time.perf_counter() - began

    def _start(self, state: State) -> None:
        path = Path(self._folder.name)
        self._errors = (path / "errors.txt").open("w+")
        self._process = subprocess.Popen(
            [str(path / "main")],
            cwd=path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._wait("ready")
        for file in (path / "static_arrays").iterdir():
            file.unlink()
        self._order(f"seed {seed_of(state)}")

    def _order(self, order: str, progress: Progress | None = None) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its end is reported by _wait
            process.stdin.write(f"{order}\n")
            process.stdin.flush()
        self._wait("done", progress)

    def _wait(self, answer: str, progress: Progress | None = None) -> None:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("progress ") and progress is not None:
                progress(float(line.split()[1]))
            if line.startswith("ran_away "):
                self._ran_away(line.split()[1:])
            if line.strip() == answer:
                return
        status = process.wait()
        self._errors.seek(0)
        said = self._errors.read().strip()[-500:]
        killed = " (killed: was there enough memory?)" if status == -9 else ""
        raise SimulationError(
            f"the program that Brian2 generated ended with status {status}{killed}: "
            f"{said or 'it said nothing'}"
        )

    def _check_code(self, device: Any) -> str:
        """C++ that tells of neurons whose equations ran away."""
        lines = []
        for number, (cells, variable) in enumerate(self.modelled()):
            values = device.get_array_name(cells.group.variables[cells.called(variable)])
            lines.append(
                f"for (int i = 0; i < {cells.size}; i++) if (!std::isfinite({values}[i])) {{ "
                f'std::cout << "ran_away {number} " << i << " " << {values}[i] << std::endl; '
                "break; }"
            )
        return "\n        ".join(lines)

    def _ran_away(self, told: list[str]) -> None:
        """Raise an error for a neuron of which the program tells."""
        cells, variable = self.modelled()[int(told[0])]
        values = np.zeros(cells.size)
        values[int(told[1])] = float(told[2])
        self.check_group(cells, variable, values)

    def _advance(self, piece: Piece, progress: Progress) -> None:
        if self.lowered.injection.groups:
            piece.table.tofile(Path(self._folder.name) / "currents")
            self._order(f"currents {piece.first} {piece.table.size}")
        start, stop = (n * self.dt * 1e-3 for n in (self.steps, self.steps + piece.steps))
        self._order(f"run {start!r} {stop!r}", progress)

    def values(self, owner: Any, variable: str) -> Array:
        file, dtype, order = self._files[owner.name, variable]
        if self._written.get(order) != self.steps:
            self._order(order)
            self._written[order] = self.steps
        return np.fromfile(file, dtype=dtype)

    def hand_over(self, state: State, what: str) -> Handover:
        raise refusal(
            "brian2",
            "parameters-between-runs",
            f"add or change {what} at {state.t:g} ms in mode {state.options.mode}",
            "Do it before the first run, or after reset(), or take option mode=runtime",
        )

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout, self._errors):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
            self._process = None
        self._folder.cleanup()


def _wanted(lowered: Lowered) -> list[tuple[Any, str, str]]:
    """Variables that are read while the program runs, and the order that writes them."""
    wanted = []
    for cells in lowered.cells:
        if cells.spikes is not None:
            wanted += [(cells.spikes, "i", WRITE), (cells.spikes, "t", WRITE)]
        for (variable, _), (monitor, _) in cells.signals.items():
            called = cells.called(variable)
            read = (monitor, "t"), (monitor, called), (cells.group, called)
            wanted += [(owner, name, WRITE) for owner, name in read]
    for plastic in lowered.plastic:
        if TRANSMITTED in plastic.synapses.variables:
            wanted.append((plastic.synapses, TRANSMITTED, WEIGHTS))
    return list(dict.fromkeys(wanted))


def _inject_code(device: Any, lowered: Lowered, path: Path) -> str:
    """C++ that gives each cell its current at the beginning of a step, before all else."""
    injection = lowered.injection
    if not injection.groups:
        return ""
    read, give = "", ""
    for number, (cells, index, column) in enumerate(injection.groups):
        pairs = f"injected_{number}"
        np.column_stack([index, column]).astype(np.int32).tofile(path / pairs)
        values = device.get_array_name(cells.group.variables["i_injected"])
        read += (
            f"static std::vector<std::pair<int32_t, int32_t>> {pairs}({index.size});\n"
            f'std::ifstream("{pairs}", std::ios::binary).read('
            f"reinterpret_cast<char*>({pairs}.data()), {index.size}*2*sizeof(int32_t));\n"
        )
        give += f"for (const auto& pair : {pairs}) {values}[pair.first] = row[pair.second];\n"
    clock = lowered.clock.name
    return (
        f"{read}network.objects.insert(network.objects.begin(), {{&brian::{clock}, +[] {{\n"
        f"const double* row = currents.data()\n"
        f"    + (brian::{clock}.timestep[0] - first_of_currents)*{injection.columns};\n"
        f"{give}}}}});"
    )


def _write_code(device: Any, array: Any, file: str) -> str:
    """C++ that writes one array to its file."""
    name = device.get_array_name(array, access_data=False)
    begin = f'{{ std::ofstream file("results/{file}", std::ios::binary); '
    send = "file.write(reinterpret_cast<char*>({data}), {size}*sizeof({first})); }}"
    if not isinstance(array, DynamicArrayVariable):
        return begin + send.format(data=name, size=f"_num_{name}", first=f"{name}[0]")
    if array.ndim == 1:
        return begin + send.format(data=f"{name}.data()", size=f"{name}.size()", first=f"{name}[0]")
    row = send.format(data=f"&{name}(row, 0)", size=f"{name}.m", first=f"{name}(0, 0)")
    return begin + f"for (int row = 0; row < {name}.n; row++) " + row
