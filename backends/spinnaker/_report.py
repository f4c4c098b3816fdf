"""What sPyNNaker knows after a run: the mapping, provenance, time and energy."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from spinn_front_end_common.interface.ds import DsSqlliteDatabase
from spinn_front_end_common.interface.interface_functions import compute_energy_used
from spinn_front_end_common.interface.provenance import (
    GlobalProvenance,
    ProvenanceReader,
    TimerCategory,
    TimerWork,
)
from spinnman.model.enums import ExecutableType
from spynnaker.pyNN.data import SpynnakerDataView

# messages of sPyNNaker that say that the network was not run as described
DOUBT = re.compile(
    r"saturated|lost (\d+ )?packets|dropped|missed|too late|later than|skipped|overload|blocked"
    r"|clipped|did not (start|end)|still executing|fell behind|overran|default routed"
    r"|no master pop entry|did not match|not correct|error status|will be ignored"
    r"|may mean that the simulation|could indicate a.* fault",
    re.IGNORECASE,
)


def mapping() -> dict[str, Any]:
    """Where the network went, in numbers.

    Returns
    -------
    dict
        ``boards``, ``chips``, ``cores`` that the network uses, and those of the machine;
        ``sdram_bytes`` (without recordings) and ``sdram_bytes_per_step`` (recordings);
        ``routing_entries``, of all chips, and ``routing_entries_largest``, of one;
        ``generated_bytes`` to be loaded, and ``time_scale_factor``.
    """
    view = SpynnakerDataView
    machine = view.get_machine()
    places = list(view.iterate_placemements())
    chips = {(place.x, place.y) for place in places if _is_of_network(place.vertex)}
    boards = {
        (chip.nearest_ethernet_x, chip.nearest_ethernet_y) for chip in (machine[xy] for xy in chips)
    }
    fixed, growing = 0, 0.0
    for place in places:
        sdram = place.vertex.sdram_required
        fixed += int(sdram.fixed)
        growing += float(sdram.per_timestep)
    tables = view.get_uncompressed().routing_tables
    entries = [table.number_of_entries for table in tables]
    return {
        "boards": len(boards),
        "chips": len(chips),
        "cores": sum(_is_of_network(place.vertex) for place in places),
        "monitor_cores": sum(not _is_of_network(place.vertex) for place in places),
        "machine_boards": len(machine.ethernet_connected_chips),
        "machine_chips": machine.n_chips,
        "machine_cores": machine.total_available_user_cores,
        "sdram_bytes": fixed,
        "sdram_bytes_per_step": growing,
        "routing_entries": sum(entries),
        "routing_entries_largest": max(entries, default=0),
        "routing_entries_available": machine.min_n_router_enteries,
        **_generated(),
        "time_scale_factor": view.get_time_scale_factor(),
    }


def _is_of_network(vertex: Any) -> bool:
    return bool(vertex.get_binary_start_type() != ExecutableType.SYSTEM)


def compressed(tables: Any) -> dict[str, int]:
    """Routing entries after compression, where the host has compressed them."""
    if tables is None:
        return {}
    entries = [table.number_of_entries for table in tables.routing_tables]
    return {
        "routing_entries_compressed": sum(entries),
        "routing_entries_compressed_largest": max(entries, default=0),
    }


def _generated() -> dict[str, int]:
    with DsSqlliteDatabase() as db:
        rows = list(db.get_info_for_cores())
    return {
        "generated_bytes": sum(int(written or 0) for *_, written in rows),
        "reserved_bytes": sum(int(used or 0) for _, _, used, _ in rows),
    }


def phases() -> dict[str, float]:
    """Wall-clock seconds of sPyNNaker's own phases, over all runs since the set-up."""
    with GlobalProvenance() as db:
        data = "Graph data specification writer"
        seconds = {
            "spinnaker_mapping": db.get_category_timer_sum(TimerCategory.MAPPING),
            "spinnaker_data_generation": db.get_timer_sum_by_algorithm(data),
            "spinnaker_loading": db.get_category_timer_sum(TimerCategory.LOADING)
            - db.get_timer_sum_by_algorithm(data),
            "spinnaker_synapses": db.get_timer_sum_by_work(TimerWork.SYNAPSE),
            "spinnaker_run": db.get_timer_sum_by_algorithm("Application runner"),
            "spinnaker_extraction": db.get_timer_sum_by_work(TimerWork.EXTRACT_DATA),
        }
    return {name: float(milliseconds) * 1e-3 for name, milliseconds in seconds.items()}


def messages() -> list[str]:
    """What sPyNNaker has to say about the run, one of each kind."""
    with ProvenanceReader() as reader, GlobalProvenance() as log:
        told = one_of_each([*reader.messages(), *log.retreive_log_messages(logging.WARNING)])
        return [in_our_terms(text) for text in told]


def in_our_terms(text: str) -> str:
    """A message that names the option of this backend, and no file that it does not read.

    Examples
    --------
    >>> in_our_terms("Try increasing the time scale factor, or fewer neurons")
    'Try increasing the time scale factor (--option time_scale_factor=N), or fewer neurons'
    """
    nowhere = r" located within the \.spynnaker\.cfg file or in the pynn\.setup\(\) method"
    text = re.sub(nowhere, "", text)
    return re.sub(
        r"(increasing the time[ _]scale[ _]factor)", r"\1 (--option time_scale_factor=N)", text
    )


def one_of_each(texts: Iterable[str]) -> list[str]:
    """Messages that differ in numbers only, once, with their count.

    Examples
    --------
    >>> one_of_each(["a lost 3", "a lost 4", "b late 1"])
    ['a lost 3 (and 1 more like it)', 'b late 1']
    """
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for text in texts:
        text = " ".join(text.split())
        kind = re.sub(r"\d+", "#", text)
        first.setdefault(kind, text)
        counts[kind] += 1
    return [
        f"{text} (and {counts[kind] - 1} more like it)" if counts[kind] > 1 else text
        for kind, text in first.items()
    ]


def doubts(texts: Iterable[str]) -> list[str]:
    """Those messages after which a result is not to be trusted.

    Examples
    --------
    >>> doubts(["The weights from the synapses for a saturated 3 times.", "2 tasks were queued"])
    ['The weights from the synapses for a saturated 3 times.']
    """
    return [text for text in texts if DOUBT.search(text)]


def energy(share: float) -> dict[str, Any]:
    """Energy of the machine while it ran, by sPyNNaker's model.

    Parameters
    ----------
    share : float
        Fraction of the time that counts.

    Returns
    -------
    dict
        Fields of `portable_cortex.Energy`.
    """
    used = compute_energy_used()
    frames = f"{used.n_frames} frames" if used.n_frames else "no frame"
    return {
        "joules": float(used.exec_energy_j) * share,
        "kind": "modelled",
        "scope": f"{used.n_boards} board{'s' if used.n_boards > 1 else ''}",
        "source": "sPyNNaker",
        "note": f"a model, no measurement: power of the boards, {frames}, {used.n_active_cores} "
        f"cores taken as always active, and of packets; {share:.0%} of the energy since the "
        "start, for the simulate phase's share of the time",
    }
