"""
A tour
======

Measures nothing, so the recorder leaves it alone.
"""

import os

assert "COMPILE_GUIDE_SINK" not in os.environ

print("Effects take samples and return as many.")
