"""Export: the people of a store in the formats of other programs, and names from other programs.

photo_library  tables of the store -> photos with their faces, a photo at a time
output_folder  the folder that is written to: files of the user are never overwritten
xmp_packet     XMP packets as XML trees, read and written without loss
face_regions   face regions of the Metadata Working Group, in all EXIF orientations
xmp            XMP sidecars, merged into existing ones
embedded       the same inside photos, by exiftool
import_names   names that other programs gave: from name_sources, which reads microsoft_people, iptc_people, picasa, takeout
draw_regions   named regions in which no face was found become drawn faces
folder_names   names of class folders that any filesystem and loader takes
coco, fiftyone, labelstudio, folders, tables   the other formats
"""
