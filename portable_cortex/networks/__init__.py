"""Networks as files for other programs: what a model builds, written down synapse by synapse.

===============  ===============================================================
`namespace`      a PyNN namespace whose networks are kept on the disk
`sonata_writer`  that as a network in the SONATA format
`staging`        a folder that is there as a whole or not at all
===============  ===============================================================
"""

TYPE_CHECKING = False  # typing itself takes its time
if TYPE_CHECKING:
    from .sonata_writer import Export, export

__all__ = ["Export", "export"]

if not TYPE_CHECKING:
    from .._lazy import lazy

    __getattr__, __dir__ = lazy(__name__, {"sonata_writer": "Export export"})
