"""The floor that every backend stands on: what a PyNN program means, written once.

================  ====================================================================
`values`          PyNN's lazy values as arrays, and cells of views and assemblies
`grid`            times on the time grid
`lists`           lists of synapses, in memory and in files
`draws`           random networks from one key: the core's realisation
`bounds`          how probable it is that a value that is drawn is a wrong one
`weights`         formats of weights: full, or rounded to bfloat16
`checks`          what a description must be everywhere
`synapses`        arrays of synapses: signs, delays, order, matrices
`plasticity`      what plastic synapses do, as formulas and types
`projection`      PyNN's ``Projection``, over arrays that a backend keeps
`plastic_arrays`  plastic synapses as arrays
`population`      PyNN's ``Population`` and views, over arrays
`recorder`        PyNN's recorder, over spikes and samples that a backend gives
`currents`        current sources as waveforms
`state`           the network and its clock
`namespace`       the names of a PyNN namespace
`drive`           Poisson sources that are nothing but their targets' background
`watching`        what a model builds, and how long that takes
`expected`        numbers of synapses, weights and delays, as they are expected
`undrawn`         a namespace that draws no synapse where such numbers do
`description`     what a model builds, in expected numbers, without a simulator
================  ====================================================================
"""
