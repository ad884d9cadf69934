"""What ``mx.compile`` gives packages that people use: their functions and whole programs, checked, watched and timed.

``python -m published_code`` measures what is installed, and writes a file of :mod:`published_code.results`.
"""
