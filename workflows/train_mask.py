"""Fit the mask attribute of the bundled embedder, measure it on sources that it was not fitted to, and write its card.

    python workflows/train_mask.py --train faces_train.parquet --more faces_more.parquet --card facecluster/models/weights/mask.toml

Masked are the sources mask12k-mask and rmfd-masked: whole sources count as masked, though about one face in eight of rmfd-masked is too
blurred to tell, or bare. All other sources count as bare. mask-rmfd-mix has both kinds without saying which: of 320 of its faces,
MASKED were picked by eye, UNCLEAR could not be told (hands, blur), the others are bare. It is never fitted to.

Three figures, areas under the curve: fitted to the sources A and measured on B, fitted to B and measured on A, and the shipped regression,
fitted to both, measured on the faces picked by eye. The faces were also seen by the embedder in training, which has no labels of masks.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import rankdata

from facecluster.models.attribute import part_features
from facecluster.models.card import card_of
from facecluster.models.embedder import AttentionEmbedder
from facecluster.models.recognisability import Recognisability, fit
from facecluster.models.registry import fold_batch_norm, load_network
from facecluster.models.toml_text import to_toml

ROWS = (4, 5, 6)  # of the grid: from the nose down
FACES = 500  # of a source, at most
A = ("mask12k-mask", "mask12k-nomask", "celeba256", "utkface", "bollywood6", "uk-mps")
B = ("rmfd-masked", "all-age-faces", "pins", "imfdb-age", "nba")
HAVE_MASKS = ("mask12k-mask", "rmfd-masked")
MIXED = "mask-rmfd-mix"
# rows among those of MIXED
SEEN = (
    29, 34, 91, 117, 128, 135, 138, 171, 217, 251, 254, 259, 261, 288, 304, 309, 335, 336, 364, 368, 383, 392, 396, 413, 422,
    462, 491, 506, 507, 547, 551, 566, 576, 578, 579, 618, 631, 650, 666, 682, 690, 700, 712, 751, 778, 801, 822, 826, 853, 856,
    884, 912, 923, 934, 936, 940, 990, 1021, 1030, 1052, 1076, 1092, 1098, 1120, 1156, 1159, 1169, 1173, 1177, 1178, 1182, 1202,
    1211, 1240, 1246, 1356, 1370, 1475, 1516, 1566, 1570, 1571, 1572, 1582, 1624, 1628, 1630, 1680, 1684, 1687, 1705, 1715,
    1725, 1774, 1778, 1785, 1793, 1809, 1822, 1825, 1847, 1848, 1867, 1871, 1872, 1883, 1894, 1906, 1912, 1976, 1986, 1987,
    2022, 2023, 2047, 2078, 2094, 2118, 2121, 2137, 2141, 2146, 2150, 2158, 2164, 2166, 2180, 2253, 2269, 2278, 2290, 2291,
    2296, 2297, 2332, 2349, 2353, 2355, 2429, 2458, 2468, 2475, 2491, 2537, 2538, 2557, 2568, 2575, 2580, 2603, 2626, 2641,
    2642, 2669, 2674, 2684, 2746, 2782, 2816, 2835, 2853, 2883, 2892, 2914, 2937, 2943, 2956, 2960, 2966, 3124, 3153, 3157,
    3160, 3205, 3206, 3208, 3227, 3261, 3267, 3287, 3326, 3336, 3338, 3339, 3346, 3358, 3400, 3416, 3434, 3448, 3457, 3506,
    3510, 3538, 3539, 3583, 3584, 3650, 3672, 3673, 3678, 3717, 3725, 3742, 3765, 3774, 3787, 3790, 3813, 3867, 3870, 3876,
    3908, 3990, 4023, 4029, 4030, 4045, 4055, 4059, 4061, 4077, 4110, 4116, 4120, 4137, 4150, 4154, 4227, 4235, 4270, 4284,
    4293, 4318, 4357, 4361, 4397, 4441, 4452, 4459, 4476, 4483, 4488, 4489, 4496, 4508, 4527, 4532, 4546, 4555, 4584, 4596,
    4640, 4659, 4681, 4767, 4771, 4772, 4773, 4775, 4787, 4802, 4804, 4858, 4878, 4885, 4925, 4929, 4955, 4962, 4965, 4974,
    4981, 4995, 5020, 5035, 5047, 5076, 5127, 5132, 5145, 5148, 5151, 5153, 5154, 5198, 5211, 5215, 5242, 5254, 5276, 5281,
    5295, 5304, 5307, 5318, 5346, 5361, 5367, 5374, 5379, 5409, 5416, 5420, 5441, 5456, 5497, 5503, 5529, 5539, 5554, 5565,
    5573, 5590, 5604, 5627, 5671, 5672, 5701, 5711,
)  # fmt: skip
MASKED = (
    34, 138, 171, 251, 261, 309, 413, 422, 491, 507, 547, 551, 576, 578, 666, 822, 853, 856, 884, 940, 1030, 1092, 1177, 1240,
    1246, 1356, 1370, 1475, 1566, 1571, 1572, 1680, 1684, 1705, 1793, 1825, 1848, 1867, 1871, 1883, 1906, 1912, 1986, 2022,
    2047, 2094, 2121, 2146, 2164, 2166, 2291, 2297, 2429, 2458, 2468, 2538, 2568, 2575, 2580, 2746, 2853, 2914, 2937, 2956,
    2966, 3157, 3206, 3208, 3227, 3267, 3287, 3400, 3416, 3583, 3584, 3650, 3672, 3717, 3725, 3742, 3774, 3813, 3876, 4023,
    4030, 4059, 4077, 4137, 4154, 4284, 4293, 4357, 4441, 4476, 4496, 4546, 4555, 4596, 4772, 4804, 4858, 4925, 4962, 4974,
    4981, 5020, 5047, 5076, 5127, 5145, 5151, 5154, 5211, 5242, 5276, 5295, 5304, 5379, 5416, 5441, 5503, 5529, 5565, 5573,
    5604, 5627, 5671, 5711,
)  # fmt: skip
UNCLEAR = (336, 2150, 2684, 3326, 3787, 3867, 4045, 4120, 5701)


def read_faces(paths: list[Path], network: AttentionEmbedder) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Features and sources of the faces, FACES of a source, and those of MIXED that were seen."""
    rng, found, names = np.random.default_rng(0), [], []
    for path in paths:
        table = pq.read_table(path, columns=["source", "crop"])
        source = np.array(table["source"].to_pylist())
        for name in (*A, *B, MIXED):
            rows = np.flatnonzero(source == name)
            rows = rows[list(SEEN)] if name == MIXED and len(rows) else np.sort(rng.permutation(rows)[:FACES])
            for i in range(0, len(rows), 32):
                data = [table["crop"][int(row)].as_py() for row in rows[i : i + 32]]
                crops = np.stack([np.asarray(Image.open(io.BytesIO(d)).convert("RGB")) for d in data])
                found.append(part_features(network, crops, ROWS))
                names += [name] * len(crops)
    return np.concatenate(found), np.array(names)


def area(scores: NDArray[np.floating], masked: NDArray[np.bool_]) -> float:
    """Area under the curve."""
    ranks, n = rankdata(scores), int(masked.sum())
    return round(float((ranks[masked].sum() - n * (n + 1) / 2) / (n * (len(scores) - n))), 4)


def measure(features: NDArray[np.float32], source: NDArray[np.str_]) -> tuple[Recognisability, dict[str, object]]:
    """The regression on all sources with labels, and the figures."""
    masked, figures = np.isin(source, HAVE_MASKS), dict[str, object]()
    for name, here, there in (("B", A, B), ("A", B, A)):
        one, other = np.isin(source, here), np.isin(source, there)
        scores = fit(features[one], masked[one]).of(features[other])
        figures[f"auc, sources {name}, fitted to the others"] = area(scores, masked[other])
        alarms = {s: round(float((scores[source[other] == s] > 0.5).mean()), 3) for s in there if s not in HAVE_MASKS}
        figures[f"taken for masked at .5, bare sources {name}, fitted to the others"] = alarms
    labelled = source != MIXED
    regression = fit(features[labelled], masked[labelled])
    known = ~np.isin(SEEN, UNCLEAR)
    scores, by_eye = regression.of(features[~labelled])[known], np.isin(SEEN, MASKED)[known]
    figures["auc, rmfd-mix, labelled by eye"] = area(scores, by_eye)
    figures["right at .5, rmfd-mix, labelled by eye"] = round(float(((scores > 0.5) == by_eye).mean()), 4)
    figures["faces labelled by eye, masked among them"] = [int(known.sum()), int(by_eye.sum())]
    return regression, figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, default=Path("../shared/data/faces_train.parquet"))
    parser.add_argument("--more", type=Path, default=Path("../shared/data/faces_more.parquet"))
    parser.add_argument("--card", type=Path, default=Path("facecluster/models/weights/mask.toml"))
    options = parser.parse_args()
    network = load_network()
    assert isinstance(network, AttentionEmbedder)
    fold_batch_norm(network)
    features, source = read_faces([options.train, options.more], network)
    regression, figures = measure(features, source)
    embedder = card_of("bundled")
    counts = ", ".join(f"{name} {int((source == name).sum())}" for name in (*A, *B))
    lineage = "The faces are of public sets without a licence or for research only (CelebA, UTKFace, IMFDB, RMFD); see the embedder's card."
    card = {
        "model": {
            "name": "mask", "task": "attribute", "format": "probe", "sha256": embedder.sha256, "licence": "Apache-2.0",
            "source": "workflows/train_mask.py",
            "limits": "Masks over mouth and nose only. The figures below say on which bare faces it errs: film stills (imfdb-age).",
        },
        "attribute": {"name": "mask"},
        "probe": {
            "embedder": "bundled", "sha256": embedder.sha256, "rows": list(ROWS), "intercept": regression.intercept,
            "weights": list(regression.weights),
        },
        "training": {"data": f"aligned faces: {counts}", "lineage": lineage},
        "accuracy": figures,
    }  # fmt: skip
    options.card.write_text("# Model card of masks: the probability of one over mouth and nose.\n\n" + to_toml(card), encoding="utf-8")
    print(figures)


if __name__ == "__main__":
    main()
