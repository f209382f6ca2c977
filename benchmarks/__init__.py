"""Benchmarks: what the levels of the design are measured with, against whichever peers are installed.

Owns: nothing at import; ``python -m benchmarks`` runs the cases.  Nothing in fastad may import this package.
Next: README.md (what each case stresses), __main__.py (the command), harness.py (how time is taken), cases/.
"""
