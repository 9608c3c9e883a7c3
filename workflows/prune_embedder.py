"""Make an embedder smaller: drop the inner channels that matter least, so that training goes on from what is left.

    python workflows/prune_embedder.py --weights facecluster/models/weights/embedder.safetensors --faces faces_train.parquet \
        --inner 0,64,64 --mlp-ratio 2 --out runs/pruned.safetensors

An inner channel of a residual pair or of a block's two linear layers counts by the energy that it adds to what it is summed into:
the mean square of what it says on training faces times the squared norm of the weights that read it. The rest is left as it was;
`facecluster train --recipe bundled --init runs/pruned.toml` mends the damage: a card is written beside the weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from embedder_faces import load_faces
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from facecluster.models.embedder import AttentionEmbedder
from facecluster.models.onnx_session import sha256_of
from facecluster.models.toml_text import to_toml


@torch.inference_mode()
def energies(network: AttentionEmbedder, images: Tensor) -> dict[str, Tensor]:
    """Mean square (channels,) of what the inner layers say, by the name of the module that reads it."""
    heard: dict[str, Tensor] = {}
    readers = {name: m for name, m in network.named_modules() if name.endswith((".body.1.0", ".mlp.2"))}

    def listen(name: str) -> object:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0]
            heard[name] = x.square().mean(dim=(0, 2, 3) if x.ndim == 4 else (0, 1))

        return hook

    hooks = [m.register_forward_pre_hook(listen(name)) for name, m in readers.items()]  # type: ignore[arg-type]
    network.eval()(images)
    for h in hooks:
        h.remove()
    return heard


def keep(energy: Tensor, reader: Tensor, n: int) -> Tensor:
    """Rows of the n channels that count most, in their order; `reader` (outputs, channels, ...) are the weights that read them."""
    count = energy * reader.transpose(0, 1).flatten(1).square().sum(1)
    return count.topk(n).indices.sort().values


def prune(network: AttentionEmbedder, images: Tensor, inner: list[int], mlp_ratio: int) -> dict[str, Tensor]:
    """State dict of the smaller network."""
    heard = energies(network, images)
    state = dict(network.state_dict())
    for at, n in zip((1, 3, 4), inner, strict=True):
        first, second = f"stem.{at}.body.0", f"stem.{at}.body.1"
        if n == 0:
            state = {k: v for k, v in state.items() if not k.startswith(f"stem.{at}.")}
        elif f"{first}.0.weight" in state:
            kept = keep(heard[f"{second}.0"], state[f"{second}.0.weight"], n)
            state[f"{second}.0.weight"] = state[f"{second}.0.weight"][:, kept]
            for name in ("0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var"):
                state[f"{first}.{name}"] = state[f"{first}.{name}"][kept]
    width = state["position"].shape[2]
    for block in {name.rsplit(".mlp.", 1)[0] for name in heard if ".mlp." in name}:
        kept = keep(heard[f"{block}.mlp.2"], state[f"{block}.mlp.2.weight"], mlp_ratio * width)
        state[f"{block}.mlp.2.weight"] = state[f"{block}.mlp.2.weight"][:, kept]
        for name in ("weight", "bias"):
            state[f"{block}.mlp.0.{name}"] = state[f"{block}.mlp.0.{name}"][kept]
    return state


def write(state: dict[str, Tensor], out: Path) -> AttentionEmbedder:
    """Write weights, and a card beside them that `--init` takes; its reading of cosines is a blank. Gives the network."""
    smaller = AttentionEmbedder.from_weights(state)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in state.items()}, out)
    card = {
        "model": {"name": out.stem, "dim": smaller.settings["dim"], "sha256": sha256_of(out), "licence": "Apache-2.0"},
        "network": {k: v for k, v in smaller.settings.items() if k != "dim"},
        "reading": {"slope": 1.0, "intercept": 0.0, "impostor_mean": 0.0, "impostor_sd": 0.1},
    }
    out.with_suffix(".toml").write_text(to_toml(card), encoding="utf-8")
    return smaller


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--inner", required=True, help="channels inside the stem's three residual pairs, as 0,64,64")
    parser.add_argument("--mlp-ratio", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    network = AttentionEmbedder.from_weights(load_file(args.weights))
    crops, held = load_faces(args.faces)
    images = torch.from_numpy(crops[~held][::32]).permute(0, 3, 1, 2).float()
    state = prune(network, images, [int(n) for n in args.inner.split(",")], args.mlp_ratio)
    smaller = write(state, args.out)
    sizes = [sum(p.numel() for p in n.parameters()) for n in (network, smaller)]
    print(f"{sizes[0]} -> {sizes[1]} parameters; {smaller.settings}")


if __name__ == "__main__":
    main()
