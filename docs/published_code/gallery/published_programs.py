"""Whole programs of published packages, with compiling on against off: a script for the recorder of compile_guide."""

from published_code import observing
from published_code.programs import PROGRAMS

observing.measure_programs(PROGRAMS)
