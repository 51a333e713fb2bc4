"""Versions that do not go together, from the metadata of made-up packages."""

import pytest

from ethtune.device.packages import PackageFacts, package_facts


def install(folder, monkeypatch, **packages):
    """Metadata alone, before everything that is really installed."""
    for name, (version, *needs) in packages.items():
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir()
        lines = [f"Requires-Dist: {need}" for need in needs]
        (info / "METADATA").write_text(
            "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines, ""])
        )
    monkeypatch.syspath_prepend(str(folder))


def test_this_environment_is_the_tested_one():
    seen = package_facts()
    assert seen.conflicts == ()
    assert seen.bad_pairs == ()
    assert {"torch", "peft"} <= set(seen.installed)


@pytest.mark.parametrize(
    ("packages", "words"),
    [
        ({"torchvision": ("0.20.1",)}, "torchvision 0.20.1 is not built for torch 2.13"),
        ({"torch": ("2.5.1",)}, "every resume is refused"),
        ({"pynvml": ("11.5.0",)}, "shadows the driver's binding"),
        ({"torch": ("2.9.1",), "torchaudio": ("2.8.0",)}, "torchaudio 2.8.0 is not built for"),
    ],
)
def test_pairs_that_break(tmp_path, monkeypatch, packages, words):
    install(tmp_path, monkeypatch, **packages)
    assert words in "; ".join(text for _, text in package_facts().bad_pairs)


@pytest.mark.parametrize(
    "packages",
    [
        {"torchvision": ("0.28.0",)},
        {"torchaudio": ("2.11.0",)},
        {"torch": ("2.10.0",), "torchvision": ("0.25.0",), "torchaudio": ("2.10.0",)},
    ],
)
def test_pairs_that_fit(tmp_path, monkeypatch, packages):
    install(tmp_path, monkeypatch, **packages)
    assert package_facts().bad_pairs == ()


def test_unmet_needs_are_named(tmp_path, monkeypatch):
    install(
        tmp_path, monkeypatch,
        peft=("0.21.2", "accelerate>=9", "nowhere-to-be-found", 'x; extra == "test"', "?bad?"),
    )  # fmt: skip
    first, second = package_facts().conflicts
    assert first.startswith("peft needs accelerate>=9, installed is ")
    assert second == "peft needs nowhere-to-be-found, which is not installed"


def test_commands_are_quoted_and_name_this_python():
    facts = PackageFacts(python="/my envs/python")
    assert facts.pip_command("install", "torch>=2.10") == (
        "'/my envs/python' -m pip install 'torch>=2.10'"
    )
    assert facts.pip_command("uninstall", "x") == "'/my envs/python' -m pip uninstall -y x"
    bare = PackageFacts(python="python", has_pip=False)
    assert bare.pip_command("uninstall", "x") == "uv pip uninstall --python python x"
