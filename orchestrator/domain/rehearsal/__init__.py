"""Plans tried in a model of the world, with every placement of up to k faults, by the engine that runs in earnest.

`model` is the world, `driving` and `attempts` do what a worker does, `moves` lists what may happen next, `invariants`
judges each state, `folding` tells equal states, `search` goes through them all, `scenarios` says what is rehearsed.
"""
