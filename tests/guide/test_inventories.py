"""Addresses of other documentation, made without a network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from guide import PATHS
from sphinx.util.inventory import InventoryFile

from _ext import inventories
from _ext.inventories import Item, inventory, mapping, mlx_address

CORE, NN, OPTIMIZERS = "python/_autosummary", "python/nn/_autosummary", "python/optimizers/_autosummary"
OPT = "mlx.optimizers"


@pytest.mark.parametrize(
    ("name", "page"),
    [  # each of these pages was found in a stored copy of MLX's documentation
        ("mlx.core.compile", f"{CORE}/mlx.core.compile.html#mlx.core.compile"),
        ("mlx.core.array", f"{CORE}/mlx.core.array.html#mlx.core.array"),
        ("mlx.core.array.astype", f"{CORE}/mlx.core.array.astype.html#mlx.core.array.astype"),
        ("mlx.core.random.bernoulli", f"{CORE}/mlx.core.random.bernoulli.html#mlx.core.random.bernoulli"),
        ("mlx.core.stream", f"{CORE}/mlx.core.stream.html#mlx.core.stream"),
        ("mlx.core.Stream", f"{CORE}/stream_class.html#mlx.core.Stream"),
        ("mlx.nn.Linear", f"{NN}/mlx.nn.Linear.html#mlx.nn.Linear"),
        ("mlx.nn.gelu", f"{NN}_functions/mlx.nn.gelu.html#mlx.nn.gelu"),
        ("mlx.nn.init.uniform", f"{NN}/mlx.nn.init.uniform.html#mlx.nn.init.uniform"),
        ("mlx.nn.losses.mse_loss", f"{NN}_functions/mlx.nn.losses.mse_loss.html#mlx.nn.losses.mse_loss"),
        ("mlx.nn.value_and_grad", f"{CORE}/mlx.nn.value_and_grad.html#mlx.nn.value_and_grad"),
        ("mlx.nn.Module", "python/nn/module.html#mlx.nn.Module"),
        ("mlx.nn.Module.state", f"{NN}/mlx.nn.Module.state.html#mlx.nn.Module.state"),
        ("mlx.optimizers.AdamW", f"{OPTIMIZERS}/mlx.optimizers.AdamW.html#mlx.optimizers.AdamW"),
        ("mlx.optimizers.Muon", f"{OPTIMIZERS}/mlx.optimizers.Muon.html#mlx.optimizers.Muon"),
        (f"{OPT}.clip_grad_norm", f"{CORE}/{OPT}.clip_grad_norm.html#{OPT}.clip_grad_norm"),
        ("mlx.optimizers.Optimizer", "python/optimizers/optimizer.html#mlx.optimizers.Optimizer"),
        (f"{OPT}.Optimizer.init", f"{OPTIMIZERS}/{OPT}.Optimizer.init.html#{OPT}.Optimizer.init"),
        ("mlx.optimizers.SGD.update", f"{OPTIMIZERS}/mlx.optimizers.SGD.html"),
        ("mlx.utils.tree_map", f"{CORE}/mlx.utils.tree_map.html#mlx.utils.tree_map"),
    ],
)  # fmt: skip
def test_mlx_addresses_follow_the_rules_of_its_documentation(name: str, page: str) -> None:
    assert mlx_address(name) == page


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (
            inventories.mlx_items,
            "mlx.core.compile mlx.core.float32 mlx.core.fast.metal_kernel mlx.core.random.state mlx.nn.gelu"
            " mlx.nn.Module.trainable_parameters mlx.optimizers.SGD mlx.utils.tree_map usage/compile mlx.nn",
        ),
        (inventories.python_items, "math.sqrt os.environ os.path.join pathlib.Path.read_text ValueError"),
        (inventories.numpy_items, "numpy.asarray numpy.ndarray.mean numpy.float32 numpy.linalg.svd"),
        (inventories.matplotlib_items, "matplotlib.pyplot.subplots matplotlib.axes.Axes.set_xscale"),
    ],
)
def test_names_of_the_installed_packages_are_found(make: object, names: str) -> None:
    known = {item.name for item in make()}  # type: ignore[operator]
    assert set(names.split()) - known == set()


def test_a_module_does_not_claim_names_that_it_only_imported() -> None:
    names = {item.name for item in inventories.mlx_items()}
    assert {"mlx.optimizers.tree_map", "mlx.optimizers.List", "mlx.nn.Any"} & names == set()


def test_plain_types_are_left_out_so_that_not_every_variable_is_a_link() -> None:
    assert {"int", "str", "list", "float"} & {item.name for item in inventories.python_items()} == set()


def test_sphinx_reads_the_inventory() -> None:
    raw = inventory("MLX", "1", [Item("mlx.core.exp", "py:function", "a.html#mlx.core.exp")])
    read = InventoryFile.loads(raw, uri="https://x.org/").data
    assert read["py:function"]["mlx.core.exp"].uri == "https://x.org/a.html#mlx.core.exp"


def test_inventories_that_are_right_keep_their_time(tmp_path: Path) -> None:
    setting = mapping(tmp_path)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert mapping(tmp_path) == setting
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == before
    assert set(setting) == {"python", "mlx", "numpy", "matplotlib"}


def test_inventories_are_made_once_without_importing_anything_the_second_time(tmp_path: Path) -> None:
    mapping(tmp_path)
    code = f"""
import sys
from pathlib import Path
from _ext.inventories import mapping
mapping(Path({str(tmp_path)!r}))
print(sorted({{"mlx.core", "numpy", "matplotlib"}} & set(sys.modules)))
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PATHS))}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", ["mlx.inv", "made-from"])
def test_an_inventory_that_was_cut_off_is_made_again(name: str, tmp_path: Path) -> None:
    mapping(tmp_path)
    files = {file: file.read_bytes() for file in tmp_path.iterdir()}
    (tmp_path / name).write_bytes(files[tmp_path / name][:9])
    mapping(tmp_path)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == files


def test_inventories_of_other_versions_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mapping(tmp_path)
    right, broken = (tmp_path / "numpy.inv").read_bytes(), b"# Of an earlier version\n"
    (tmp_path / "numpy.inv").write_bytes(broken)
    with monkeypatch.context() as earlier:
        earlier.setattr(inventories, "version", lambda name: "0.1")
        (tmp_path / "made-from").write_text(inventories._digest(tmp_path), encoding="utf-8")
    mapping(tmp_path)
    assert (tmp_path / "numpy.inv").read_bytes() == right
