"""The bundled models: an attention embedder and a face detector. This package and `training` compute by
torch; of the others, `photos.resize`, `explain.face_maps` and `doctor` import it.

attention  scaled dot-product attention and a transformer block
embedder   the embedding network
int8_*     8-bit integers: `int8_layers` for a layer, `int8` for the embedding network, `int8_detector` for the detector's two
backbone   the layers that the detector's two networks share
detector   the detection network, and how its output becomes faces
search     where it looks, and how closely
verifier   the second stage: judges what the detector proposes
registry   loading an embedder
card       model cards; `folder` says where they are, `library` adds and removes them, `pull` and `download` get them
onnx_*     models in ONNX files: `onnx_session` is the only door to onnxruntime
vit        vision transformers with timm's names of tensors
"""

import os

# oneDNN compiles each layer for each size of picture, and keeps the last 1,024 of them; a folder of mixed photos needs about 2,400 (40 MB).
# Read at the first convolution. A value that the user has set stays.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "4096")
