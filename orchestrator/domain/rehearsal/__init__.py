"""Plans tried in a model of the world, with every placement of up to k faults, by the engine that runs in earnest.

`model` is the world and `nature` what happens to it by itself; `driving`, `attempts` and `looks` do what drivers and
workers do, call by call, and `humans` what people say; `moves` lists what may happen next; `invariants` judges each
state; `memory` tells equal ones; `search` goes through them all, and `story` tells what it finds; `scenarios` says what
is rehearsed.
"""
