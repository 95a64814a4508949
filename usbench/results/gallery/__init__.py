"""Pictures and training curves of a finished run.

It must not know how a run is started.
"""
