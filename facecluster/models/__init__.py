"""The bundled models: an attention embedder and a face detector. Only this package imports torch.

attention  scaled dot-product attention and a transformer block
embedder   the embedding network
int8       the embedding network in 8-bit integers
backbone   the layers that the detector's two networks share
detector   the detection network, and how its output becomes faces
search     where it looks, and how closely
verifier   the second stage: judges what the detector proposes
registry   loading an embedder
card       model cards; `folder` says where they are, `library` adds and removes them, `pull` and `download` get them
onnx_*     models in ONNX files: `onnx_session` is the only door to onnxruntime
vit        vision transformers with timm's names of tensors
"""
