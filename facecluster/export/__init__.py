"""Export: what a store knows, in the forms that other programs read.

library      tables of the store -> photos with their faces, a photo at a time
out          the folder that is written to: what is there and not ours is never overwritten
packet       XMP packets as trees that lose nothing, and their structures
regions      face regions of the Metadata Working Group, in all orientations
xmp          sidecars, merged with those that are there
names        names that other programs wrote in sidecars and photos, read back
coco, fiftyone, labelstudio, folders, tables   the other forms
"""
