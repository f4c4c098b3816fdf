"""Networks that others wrote: files in the SONATA format, read as a model.

Dai K et al. (2020). The SONATA data format for efficient description of large-scale network models.
PLoS Comput Biol 16:e1007696. doi:10.1371/journal.pcbi.1007696. Nodes and edges are tables in HDF5,
with what many of them share in CSV and JSON; a configuration in JSON names the files. Neurons and
synapses are those of NEST, by name, in its units.

===============  ===============================================================
`configuration`  the JSON files, and the paths in them
`templates`      NEST's models and PyNN's cell types, as one another
`tables`         columns and spike trains in HDF5, types in CSV
`nodes`          neurons and sources, with their parameters
`edges`          synapses
`building`       the network of a configuration, built in PyNN
===============  ===============================================================
"""

__all__ = ["building", "configuration", "edges", "nodes", "tables", "templates"]
