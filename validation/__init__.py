"""Comparison of recordings with a reference, and what a run cost.

Each folder is a room; its ``__init__`` lists what others may use:

* `activity`: what the spikes of a run say.
* `formats`: recordings of any program.
* `verdict`: references, tests, and what they say.
* `impact`: what a change of the model does.
* `scoreboard`: backends side by side.
* `cost`: time and energy, one's own and the published.
* `drawing`: the geometry of pictures.
* `pages`: what a reader gets.

`sciunit_adapter` offers the comparisons as tests of SciUnit.
"""
