"""The only package that knows MLflow: a run's curves and scores in a tracking store.

It must not know datasets, models or metrics.
"""
