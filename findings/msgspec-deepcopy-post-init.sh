#!/usr/bin/env bash
# copy.deepcopy of a msgspec.Struct runs __post_init__ again; copy.copy doesn't.
#
# __post_init__ runs after __init__ and after decoding. For a plain copy it isn't run. A deep copy is made by calling the class,
# so it is: a counter counts one object too many, and a field that __post_init__ derives from itself, such as a price with tax
# added, is changed a second time in the copy. The same holds for pickle. dataclasses run it in neither case.
#
# Guessed before it was run: a copy of either kind runs nothing.
# Seen with msgspec 0.23.0, Python 3.11.
# Source: the package msgspec, from the repository jcrist/msgspec.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check msgspec==0.23.0

cat >"$folder/expected" <<'TEXT'
dataclass copy 120 deepcopy 120 pickle 120
msgspec   copy 120 deepcopy 140 pickle 140
TEXT

cat >"$folder/program.py" <<'PYTHON'
import copy
import pickle
from dataclasses import dataclass

import msgspec


@dataclass
class Plain:
    price: int

    def __post_init__(self):
        self.price += 20


class Struct(msgspec.Struct):
    price: int

    def __post_init__(self):
        self.price += 20


for name, kind in (("dataclass", Plain), ("msgspec  ", Struct)):
    original = kind(100)
    thawed = pickle.loads(pickle.dumps(original))
    print(name, "copy", copy.copy(original).price, "deepcopy", copy.deepcopy(original).price, "pickle", thawed.price)
PYTHON

(cd "$folder" && venv/bin/python program.py) >"$folder/seen"

diff "$folder/expected" "$folder/seen"
echo "as described"
