"""facecluster doctor: what this machine has, and what to install for more."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
from typing import Any

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.options import json_option


@click.command("doctor")
@json_option
@handle_errors
def command(as_json: bool) -> None:
    """Print what this machine has (devices, faiss, bf16, decoders, models, disk) and what to install for more.

    \b
    Example: facecluster doctor
    """
    found, advice = _look()
    if as_json:
        click.echo(json.dumps({"found": found, "advice": advice}, indent=1))
        return
    for name, value in found.items():
        click.echo(f"{name:<12} {value}")
    for line in advice:
        click.echo(f"for more: {line}")


def _look() -> tuple[dict[str, Any], list[str]]:
    import torch
    from PIL import features

    from facecluster.models import registry
    from facecluster.models.detector import Detector
    from facecluster.models.int8_layers import multiplication
    from facecluster.photos.extras import EXTRAS, install_hint, is_installed

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    flavours = {d: v for d in ("faiss-cpu", "faiss-gpu", "faiss-gpu-cuvs") if (v := _version(d))}
    optional = (("WebP", "webp"), ("AVIF", "avif"), ("JPEG 2000", "jpg_2000"))
    decoders = ["JPEG", "PNG", "GIF", "TIFF", *(n for n, f in optional if features.check(f))]
    heic = _version("pi-heif")
    onnx = _version("onnxruntime") or _version("onnxruntime-gpu")
    card = registry.card_of("bundled")
    found = {
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "gpu": ", ".join(gpus) or "none",
        "bf16": "in hardware" if registry.has_bf16(registry.best_device()) else "no: float32 is used",
        "int8": f"in hardware ({how}): used for detector and embedder" if (how := multiplication()) else "no: not used",
        "faiss": ", ".join(f"{name} {version}" for name, version in flavours.items()) or "none",
        "decoders": ", ".join(decoders + (["HEIC"] if heic else []) + [e.what for e in EXTRAS if is_installed(e)]),
        "embedder": f"{card.name}, {card.dim} numbers, {card.sha256[:12]}",
        "detector": f"bundled, {Detector.load().fingerprint[:12]}",
        "onnx": f"onnxruntime {onnx}" if onnx else "no: models in ONNX files can't be used",
        "free disk": f"{shutil.disk_usage('.').free / 2**30:.0f} GiB here",
    }
    advice = []
    if not flavours:
        advice.append("pip install 'facecluster[cpu]': without faiss nothing can be grouped")
    if len(flavours) > 1:
        advice.append(f"only one of {', '.join(flavours)} may be installed: they are all the package 'faiss'. Uninstall the others")
    if gpus and list(flavours) == ["faiss-cpu"]:
        advice.append("pip uninstall faiss-cpu && pip install 'facecluster[gpu]' (Linux x86-64, CUDA 12) for neighbours on the GPU")
    if not heic:
        advice.append("pip install pi-heif for HEIC photos")
    if not onnx:
        advice.append("pip install 'facecluster[onnx]' for models in ONNX files")
    if missing := [e for e in EXTRAS if not is_installed(e)]:
        advice.append(f"{install_hint([e.name for e in missing])} for {', '.join(e.what for e in missing)}")
    return found, advice


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
