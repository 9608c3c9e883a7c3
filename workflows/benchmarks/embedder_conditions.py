"""Measure the embedder by condition: faces made worse, and faces turned away, against clean ones; the teacher on the same pixels beside it.

    python workflows/benchmarks/embedder_conditions.py --faces faces_eval.parquet --teacher mobilefacenet.onnx --detector yunet_n.onnx \
        --weights trained=runs/embedder/embedder.safetensors

Pairs are those of embedder.py, but the first face of a pair is in the condition and the second is clean, as in a collection with one bad
photo of somebody. First faces are every second one with a name; all faces are second faces. Intervals (95 %) are bootstrap ones: people of
the first faces are drawn anew, the threshold stays. Each condition has its own threshold: TAR is
the share of pairs of one person that is accepted where one in a thousand pairs of two people is. Masks and dark glasses are drawn, as in
training; the other changes are plain.

Turned away: the TURNED share of the faces with the largest yaw, measured on the landmarks that YuNet finds in the crop. That is as far as
these photos go: their alignment needed both eyes.

False accepts: of two different people with names (pins: mostly actors and singers), and of two nameless faces (all-age-faces: all ages,
mostly East Asian), the share of pairs that is accepted at the threshold of clean faces. Intervals draw the people, or the nameless
faces, anew.

Children: the data name nobody's age, and no child is there twice with a name, so there is no TAR. CHILDREN are unnamed faces that look
younger than about ten years, picked by eye from the first 500 unnamed ones. Stated is how many pairs of two of them are accepted at the
threshold where one in a thousand clean pairs is. (A few pairs may show one child: so it is an upper limit, for the teacher as well.)
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from embedder import Crops, Vectors, load_faces, load_model, machine
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from facecluster.geometry import CROP, yaw
from facecluster.training.augment import MASK, occlude

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from embedder_teacher import Teacher  # noqa: E402

Tar = dict[str, Any]  # tar, interval [low, high]; of children pairs_accepted; cosine_to_teacher
FAR = 1e-3
TURNED = 0.15
BLUR, SIDE = 3.0, 40  # px: sd of the blur in a crop of 112 px; side of a small crop
CHILDREN = (  # numbers among the unnamed faces of faces_eval.parquet
    27, 32, 58, 69, 74, 75, 99, 102, 106, 114, 126, 133, 160, 162, 177, 178, 182, 184, 189, 206, 213, 218, 220, 234, 244, 250, 253, 254,
    302, 330, 334, 345, 373, 376, 388, 390, 399, 400, 408, 422, 450, 453, 492, 495,
)  # fmt: skip


def drawn(crops: Crops, kind: float) -> Crops:
    """All crops with a mask (kind 0) or dark glasses (kind MASK)."""
    x = torch.from_numpy(crops).permute(0, 3, 1, 2).float()
    hidden = occlude(x, torch.Generator().manual_seed(0), share=1.0, kind=kind)
    return np.ascontiguousarray(hidden.permute(0, 2, 3, 1).round().to(torch.uint8).numpy())


def each(crops: Crops, change: Callable[[Image.Image], Image.Image]) -> Crops:
    """All crops, changed one by one."""
    return np.stack([np.asarray(change(Image.fromarray(c)).convert("RGB")) for c in crops])


def small(image: Image.Image) -> Image.Image:
    """At SIDE px, and back."""
    return image.resize((SIDE, SIDE), Image.Resampling.BOX).resize((CROP, CROP), Image.Resampling.BICUBIC)


CONDITIONS: dict[str, Callable[[Crops], Crops]] = {
    "masked": lambda crops: drawn(crops, 0),
    "sunglasses": lambda crops: drawn(crops, MASK),
    f"blurred, {BLUR:g} px": lambda crops: each(crops, lambda image: image.filter(ImageFilter.GaussianBlur(BLUR))),
    f"{SIDE} px": lambda crops: each(crops, small),
    "grey": lambda crops: each(crops, lambda image: image.convert("L")),
}


def accepted(x: Vectors, rows: NDArray[np.intp], clean: Vectors, names: NDArray[np.str_]) -> tuple[Tar, float]:
    """TAR at FAR with its interval, and the threshold, of vectors x (m, dim) of the faces `rows` (m,) with all others, clean (n, dim)."""
    cosine = x @ clean.T
    known = ((names[rows, None] != "") | (names != "")) & (rows[:, None] != np.arange(len(names)))
    same = names[rows, None] == names
    bound = float(np.quantile(cosine[known & ~same], 1 - FAR))
    right, pairs = ((cosine > bound) & known & same).sum(axis=1), (known & same).sum(axis=1)
    people, of = np.unique(names[rows], return_inverse=True)
    right, pairs = np.bincount(of, right), np.bincount(of, pairs)  # of each person; strangers have none
    right, pairs = right[people != ""], pairs[people != ""]
    drawn = np.random.default_rng(0).integers(0, len(pairs), (5_000, len(pairs)))
    low, high = np.quantile(right[drawn].sum(axis=1) / pairs[drawn].sum(axis=1), [0.025, 0.975])
    interval = [round(float(low), 4), round(float(high), 4)]
    return {"tar": round(float(right.sum() / pairs.sum()), 4), "interval": interval}, bound


def falsely(x: Vectors, who: NDArray[np.str_], bound: float) -> Tar:
    """The share of pairs of faces x (m, dim) of two of `who` (m,) with a cosine above `bound`, and its interval."""
    people, of = np.unique(who, return_inverse=True)
    above, pairs = np.zeros((len(people), len(people))), np.zeros((len(people), len(people)))
    np.add.at(above, (of[:, None], of), x @ x.T > bound)
    np.add.at(pairs, (of[:, None], of), 1)
    np.fill_diagonal(above, 0)
    np.fill_diagonal(pairs, 0)
    times = np.random.default_rng(0).multinomial(len(people), np.full(len(people), 1 / len(people)), 1_000).astype(float)
    low, high = np.quantile(((times @ above) * times).sum(axis=1) / ((times @ pairs) * times).sum(axis=1), [0.025, 0.975])
    return {"pairs_accepted": round(float(above.sum() / pairs.sum()), 4), "interval": [round(float(low), 4), round(float(high), 4)]}


def turned(crops: Crops, detector: Path) -> tuple[NDArray[np.intp], float]:
    """Rows of the faces that are turned away most, and their smallest yaw in degrees. A face that YuNet misses counts as frontal."""
    border = CROP // 4
    side = 2 * (CROP + 2 * border)
    find = cv2.FaceDetectorYN.create(str(detector), "", (side, side), 0.5)
    found = np.zeros(len(crops), np.float32)
    for i, crop in enumerate(crops):
        image = cv2.copyMakeBorder(crop[:, :, ::-1], border, border, border, border, cv2.BORDER_REPLICATE)
        _, faces = find.detect(cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC))
        if faces is not None:
            found[i] = abs(yaw(faces[:1, 4:14].reshape(-1, 5, 2))[0])
    rows = np.sort(np.argsort(-found, kind="stable")[: round(TURNED * len(crops))])
    return rows, float(found[rows].min())


class Conditions:
    """The faces in every condition, and the teacher's vectors of them."""

    def __init__(self, faces: Path, teacher: Teacher, detector: Path) -> None:
        self.clean, self.names, _ = load_faces(faces)
        self.first = np.flatnonzero(self.names != "")[::2]
        self.turned, self.least_yaw = turned(self.clean, detector)
        self.children = np.flatnonzero(self.names == "")[list(CHILDREN)]
        self.changed = {name: change(self.clean[self.first]) for name, change in CONDITIONS.items()}
        self.theirs = self.vectors(teacher.embed)

    def vectors(self, embed: Callable[[Crops], Vectors]) -> dict[str, tuple[NDArray[np.intp], Vectors]]:
        """Rows and vectors of the faces in every condition; of "all": of all faces, clean."""
        clean = embed(self.clean)
        found = {"all": (np.arange(len(clean)), clean), "clean": (self.first, clean[self.first])}
        found |= {name: (self.first, embed(crops)) for name, crops in self.changed.items()}
        return found | {name: (rows, clean[rows]) for name, rows in (("turned away", self.turned), ("children", self.children))}

    def accuracy(self, vectors: dict[str, tuple[NDArray[np.intp], Vectors]]) -> dict[str, Tar]:
        """TAR by condition, and the share of pairs of two people that is accepted."""
        clean = vectors["all"][1]
        tars = {name: accepted(x, rows, clean, self.names) for name, (rows, x) in vectors.items() if name not in ("all", "children")}
        bound, named = tars["clean"][1], self.names != ""
        nameless = np.arange(np.count_nonzero(~named)).astype(str)
        pairs = {
            "children": (vectors["children"][1], nameless[: len(self.children)]), "two of pins": (clean[named], self.names[named]),
            "two of all-age-faces": (clean[~named], nameless),
        }  # fmt: skip
        return {name: tar for name, (tar, _) in tars.items()} | {name: falsely(x, who, bound) for name, (x, who) in pairs.items()}

    def measure(self, embed: Callable[[Crops], Vectors]) -> dict[str, Tar]:
        """`accuracy` of a model, with its mean cosine to the teacher by condition."""
        ours = self.vectors(embed)
        cosines = {name: float((x * self.theirs[name][1]).sum(axis=1).mean()) for name, (_, x) in ours.items()}
        more = {name: {"cosine_to_teacher": round(cosine, 4)} for name, cosine in cosines.items()}
        return {name: {**found, **more.get(name, {})} for name, found in self.accuracy(ours).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, default=Path("../shared/data/faces_eval.parquet"))
    parser.add_argument("--teacher", type=Path, default=Path("../shared/teachers/mobilefacenet.onnx"))
    parser.add_argument("--detector", type=Path, default=Path("../shared/teachers/yunet_n.onnx"), help="YuNet, for the yaw")
    parser.add_argument("--weights", action="append", default=[], metavar="NAME=FILE", help="further weights of the training script")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "embedder_conditions.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    conditions = Conditions(options.faces, Teacher(options.teacher, options.threads, spin=False), options.detector)
    result: dict[str, object] = {
        "faces": len(conditions.names), "first_faces": len(conditions.first), "far": FAR, "children": len(CHILDREN),
        "turned_away": {"faces": len(conditions.turned), "yaw_at_least": round(conditions.least_yaw, 1)},
        "teacher": conditions.accuracy(conditions.theirs),
    }  # fmt: skip
    weights = {"bundled": None} | {name: Path(path) for name, _, path in (text.partition("=") for text in options.weights)}
    for name, path in weights.items():
        model = load_model(path)
        result[name] = {"arithmetic": model.arithmetic, **conditions.measure(model.embed)}
    result["machine"] = machine(options.threads)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
