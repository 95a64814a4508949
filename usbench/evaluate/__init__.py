"""What one does with finished runs: score them again, compare, reproduce, check the scorer.

It must not know how the command line or a sweep works.
"""
