"""Where an embedder looks on a face: maps, shares of regions, pictures."""

from facecluster.explain.explain_faces import explain_faces
from facecluster.explain.face_maps import OCCLUSION, FaceMaps
from facecluster.explain.faces import ChosenFaces, choose_faces
from facecluster.explain.overlay import overlay
from facecluster.explain.regions import REGIONS, region_areas, shares
from facecluster.explain.small_pictures import SmallPictures

__all__ = [
    "OCCLUSION", "REGIONS", "ChosenFaces", "FaceMaps", "SmallPictures", "choose_faces", "explain_faces", "overlay", "region_areas",
    "shares",
]  # fmt: skip
