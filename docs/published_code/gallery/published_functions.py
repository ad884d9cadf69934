"""Functions of published packages, compiled as they are against plain: a script for the recorder of compile_guide."""

from published_code import observing
from published_code.functions import CASES

observing.measure(CASES)
