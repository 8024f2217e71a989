"""Break-glass: an execution in a plain process, for the day when Temporal itself is lost.

The same runbook and plan, the same engine, ledger, guards and commands; only the driver is another. `opening` decides
which execution a process may drive, `driver` performs what the engine asks for, `kept` holds each event in the journal
before it is acted upon, so that the process can be killed and started again; `process` tells whether it lives.
"""
